"""What mkdocs adds when it builds the site: files of the repository's root, and the REST reference from OpenAPI."""

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
INCLUDE = re.compile(r"<!-- include: ([\w.-]+) -->")
OPENAPI = "<!-- openapi -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns a page with what its marks name: `<!-- include: FILE -->` of the root, or `<!-- openapi -->`."""
    markdown = INCLUDE.sub(lambda found: included(found[1]), markdown)
    return markdown.replace(OPENAPI, reference(openapi())) if OPENAPI in markdown else markdown


def included(name: str) -> str:
    """Returns a file of the root as a page of docs/: its links lead to the pages that such files are included in."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for page in (ROOT / "docs").glob("*.md"):
        if found := INCLUDE.fullmatch(page.read_text(encoding="utf-8").strip()):
            text = text.replace(f"]({found[1]}", f"]({page.name}")
    return text


def openapi() -> dict[str, Any]:
    """Returns /openapi.json as a service answers it, without starting one."""
    import httpx

    from oneword.query.server.app import application
    from oneword.query.server.config import ServerConfig

    async def answer(db: str) -> dict[str, Any]:
        app, _ = application(ServerConfig(db=db))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            found: dict[str, Any] = (await http.get("/openapi.json")).raise_for_status().json()
            return found

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(answer(folder))


def reference(document: dict[str, Any]) -> str:
    """Returns every route and every schema of an OpenAPI document as Markdown."""
    routes = [
        route(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"#### {name}\n\n{line(schema)}\n\n{fields(schema)}"
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return "\n\n".join(["### Routes", *routes, "### Schemas", *schemas])


def route(method: str, path: str, operation: dict[str, Any]) -> str:
    """Returns one route: what it does, its parameters, its body and its answers."""
    parts = [f"#### `{method.upper()} {path}`", operation.get("description") or operation.get("summary", "")]
    if given := operation.get("parameters"):
        rows = [
            f"| `{one['name']}` | {one['in']} | {kind(one['schema'])} | {cell(one.get('description', ''))} |"
            for one in given
        ]
        parts.append("\n".join(["| parameter | in | type | |", "|---|---|---|---|", *rows]))
    bodies = operation.get("requestBody", {}).get("content", {})
    if bodies:
        parts.append(
            "Body: " + "; ".join(f"`{media}` {kind(body.get('schema', {}))}" for media, body in bodies.items())
        )
    answers = [
        f"{status} {kind(content.get('schema', {}))}".strip()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for content in [next(iter(answer.get("content", {}).values()), {})]
    ]
    parts.append(f"Answer: {', '.join(answers)}")
    return "\n\n".join(part for part in parts if part)


def fields(schema: dict[str, Any]) -> str:
    """Returns a table of an object's fields; for other schemas, their type."""
    if not schema.get("properties"):
        return kind({key: value for key, value in schema.items() if key != "title"})
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}`{' (required)' if name in required else ''} | {kind(one)} | {line(one)} |"
        for name, one in schema["properties"].items()
    ]
    return "\n".join(["| field | type | |", "|---|---|---|", *rows])


def kind(schema: dict[str, Any]) -> str:
    """Returns a schema's type in short, with links to the schemas that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(kind(one) for one in schema[choice]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in {
            "minimum": "≥",
            "exclusiveMinimum": ">",
            "maximum": "≤",
            "minLength": "length ≥",
            "maxLength": "length ≤",
        }.items()
        if key in schema
    ]
    return " ".join([str(schema.get("type", "any")), *([f"({', '.join(limits)})"] if limits else [])])


def line(schema: dict[str, Any]) -> str:
    """Returns a schema's description, and its default if it has one, as one cell of a table."""
    default = schema.get("default")
    said = f" Default: `{json.dumps(default)}`." if default not in (None, "", [], {}) else ""
    return cell(schema.get("description", "") + said)


def cell(text: str) -> str:
    """Returns text for a cell: one line, without signs that would end the cell or begin a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
