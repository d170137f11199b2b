"""Pieces of /openapi.json that several routes share."""

from typing import Any

from pydantic import BaseModel

from oneword.query.server.answers import ProblemOut
from oneword.query.server.examples import EXAMPLES
from oneword.query.server.guard.gate import UNHURRIED
from oneword.query.server.openai import OpenAIErrorOut
from oneword.query.server.problem import MEDIA_TYPE

SCHEMAS = "#/components/schemas/"

_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}ProblemOut"}}}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, **_PROBLEM}
    for status, meaning in {
        400: "The body is malformed.",
        401: "No key, or one that is not known.",
        403: "The key may not do this.",
        404: "There is no such thing.",
        408: "The body came too slowly.",
        409: "It does not fit what is there.",
        410: "The version, or the cursor, is gone.",
        413: "The body is too large.",
        415: "The media type is not read here.",
        421: "This host's name is not ours.",
        422: "What is asked for cannot be; `field` says what is wrong.",
        429: "Too many requests; `Retry-After` says when.",
        500: "A fault of the service.",
        501: "What it needs is not installed.",
        503: "Busy; `Retry-After` says when.",
        504: "It took too long.",
    }.items()
}
"""Of every route under /v1."""

OPENAI_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": about["description"], "model": OpenAIErrorOut} for status, about in PROBLEMS.items()
}
"""Of the routes that speak as OpenAI does."""

_TIMEOUT = {
    "name": "timeout",
    "in": "query",
    "required": False,
    "description": "Seconds that the request may take; at most the service's deadline.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}

_USED: list[type[BaseModel]] = [ProblemOut]


def json_or_files(model: type[BaseModel], field: str) -> dict[str, Any]:
    """A request's body: JSON, or multipart with the JSON in `field` and files that it names `upload:NAME`."""
    _USED.append(model)
    form = {
        "type": "object",
        "properties": {field: {"$ref": f"{SCHEMAS}{model.__name__}"}},
        "additionalProperties": {"type": "string", "format": "binary", "description": "A picture."},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"{SCHEMAS}{model.__name__}"}},
                "multipart/form-data": {"schema": form, "encoding": {field: {"contentType": "application/json"}}},
            },
        }
    }


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A request's body: JSON alone."""
    _USED.append(model)
    schema = {"schema": {"$ref": f"{SCHEMAS}{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas that the pieces refer to."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _USED:
        schema = model.model_json_schema(ref_template=SCHEMAS + "{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for path, methods in document.get("paths", {}).items():
        if path.startswith("/v1/") and not UNHURRIED.fullmatch(path):
            for operation in methods.values():
                operation.setdefault("parameters", []).append(_TIMEOUT)
    return document
