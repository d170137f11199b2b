"""/openapi.json: what it says of every route is there, and is true."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest

METHODS = ("get", "post", "put", "delete", "patch")


@pytest.fixture(scope="module")
def document(service: Any) -> Any:
    return service.http.get(f"{service.url}/openapi.json").json()


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolved(document: Any, node: Any) -> Any:
    while "$ref" in node:
        place: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        node = place
    return node


def test_valid(document: Any) -> None:
    openapi_spec_validator.validate(document)
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert (document["info"]["title"], document["info"]["version"]) == ("Oneword", document["info"]["version"])


def test_every_reference_resolves(document: Any) -> None:
    found = set(references(document))
    assert len(found) > 10
    for one in found:
        assert resolved(document, {"$ref": one}), one


def test_every_route_is_described(document: Any) -> None:
    told = dict(operations(document))
    for route in (
        "POST /v1/collections/{collection}/search",
        "POST /v1/collections/{collection}/search:batch",
        "GET /v1/collections/{collection}/items/{id}",
        "GET /v1/collections/{collection}/items/{id}/original",
        "GET /v1/collections/{collection}/items/{id}/part",
        "POST /v1/embeddings",
        "GET /v1/collections",
    ):
        assert route in told
    for route, operation in told.items():
        assert operation.get("description") or operation.get("summary"), route
        assert operation["tags"], route
    ids = [operation["operationId"] for operation in told.values()]
    assert len(ids) == len(set(ids))


def test_every_route_tells_its_answers_and_problems(document: Any) -> None:
    for route, operation in operations(document):
        if "/v1/" not in route:
            continue
        good = [status for status in operation["responses"] if status[0] in "23"]
        assert good, route
        problems = operation["responses"]["422"]["content"]
        openai = "/v1/models" in route or route.endswith("/v1/embeddings")
        assert set(problems) == {"application/json" if openai else "application/problem+json"}, route
        schema = resolved(document, next(iter(problems.values()))["schema"])
        assert ("error" in schema["properties"]) is openai


def test_every_body_has_examples_that_fit(document: Any) -> None:
    """And the service takes them: none is told that a field is unknown or of a wrong kind."""
    seen = 0
    for route, operation in operations(document):
        if "requestBody" not in operation:
            continue
        schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
        assert schema.get("examples"), f"{route} has no example"
        whole = {**schema, "components": document["components"]}
        for example in schema["examples"]:
            jsonschema.Draft202012Validator(whole).validate(example)
            seen += 1
    assert seen >= 10


def test_every_answer_has_an_example_that_fits(document: Any) -> None:
    for route, operation in operations(document):
        status = next(status for status in operation["responses"] if status[0] in "23")
        content = operation["responses"][status].get("content", {}).get("application/json", {}).get("schema", {})
        if status == "204" or not content or route.endswith("/tokenizer"):  # nothing, or no JSON of ours
            continue
        schema = resolved(document, content)
        assert schema.get("examples"), route
        whole = {**schema, "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(schema["examples"][0])


def test_examples_are_taken(service: Any, document: Any) -> None:
    service.post("/collections", {"name": "examples", "model": "hash"})
    for route, operation in operations(document):
        if "requestBody" not in operation or "/jobs" in route:  # there are none here
            continue
        schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
        path = route.removeprefix("POST /v1").replace("{collection}", "examples")
        for example in schema["examples"]:
            example = {**example, "model": "hash"} if "model" in schema["properties"] else example
            said = json.dumps(example)
            answer = service.post(path, example)
            code = answer.json().get("code") if answer.status_code >= 400 else None
            assert code not in ("unknown_field", "invalid_field", "malformed_json"), (route, said, answer.text)
            assert answer.status_code < 500, (route, said, answer.text)
    service.http.delete(f"{service.url}/v1/collections/examples")


def test_answers_fit_their_schema(service: Any, document: Any) -> None:
    told = dict(operations(document))

    def fits(route: str, answer: Any) -> None:
        content = told[route]["responses"][str(answer.status_code)]["content"]
        schema = resolved(document, content["application/json"]["schema"])
        whole = {**schema, "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(answer.json())

    at = "/v1/collections/{collection}"
    query = {"text": "a cat", "with": ["payload", "vector", "thumbnail"]}
    hits = service.post("/collections/default/search", query)
    item = hits.json()["hits"][0]["id"]
    fits(f"POST {at}/search", hits)
    fits(f"POST {at}/search:batch", service.post("/collections/default/search:batch", {"queries": [query, {}]}))
    items = {"items": [{"text": "a dog", "metadata": {"n": 1}}, {"text": ""}]}
    fits(f"POST {at}/items", service.post("/collections/default/items", items))
    fits(f"POST {at}/items:get", service.post("/collections/default/items:get", {"ids": [item, "nobody"]}))
    fits(f"POST {at}/items:count", service.post("/collections/default/items:count"))
    fits(f"POST {at}/items:scroll", service.post("/collections/default/items:scroll", {"limit": 2}))
    fits(f"POST {at}/items:delete", service.post("/collections/default/items:delete", {"ids": ["nobody"]}))
    fits(f"GET {at}/items/{{id}}", service.get(f"/collections/default/items/{item}?with=vector"))
    fits(f"GET {at}", service.get("/collections/default"))
    fits("GET /v1/collections", service.get("/collections"))
    fits(f"GET {at}/duplicates", service.get("/collections/default/duplicates?limit=5"))
    fits(f"GET {at}/quarantine", service.get("/collections/default/quarantine"))
    fits("GET /v1/models", service.get("/models"))
    for form in ("float", "base64"):
        body = {"model": "hash", "input": "a", "encoding_format": form}
        fits("POST /v1/embeddings", service.post("/embeddings", body))
