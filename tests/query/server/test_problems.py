"""Errors: every one is a problem document, whatever was sent."""

from typing import Any

import pytest

SEARCH = "/collections/default/search"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nosuch", 404, "no_such_path"),
        ("GET", "/v1", 404, "no_such_path"),
        ("GET", "/v1/nosuch", 404, "no_such_path"),
        ("GET", "/redoc", 404, "no_such_path"),
        ("POST", "/v1/collections/default/nosuch", 404, "no_such_path"),
        ("GET", "/v1/collections/default/search", 405, "method_not_allowed"),
        ("PUT", "/v1/collections", 405, "method_not_allowed"),
        ("DELETE", "/v1/collections", 405, "method_not_allowed"),
        ("PATCH", "/v1/collections/default/items/a", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("POST", "/v1/collections/NoSuch!/search", 415, "media_type"),
    ],
)
def test_paths_and_methods(service: Any, refused: Any, method: str, path: str, status: int, code: str) -> None:
    told = refused(service.http.request(method, service.url + path), status, code)
    assert told["remedy"]


def test_allowed_methods_are_told(service: Any) -> None:
    answer = service.http.get(f"{service.url}/v1{SEARCH}")
    assert "POST" in answer.headers["allow"]
    assert answer.json()["detail"] == f"GET is not allowed for '/v1{SEARCH}': expected POST"


def test_the_path_that_there_is_none_of_is_told(service: Any) -> None:
    assert "'/v1/v1/models'" in service.http.get(f"{service.url}/v1/v1/models").json()["detail"]


def test_all_kinds_that_would_do_are_told(service: Any, refused: Any) -> None:
    items = [{"id": "a", "text": "a", "metadata": {"year": None}}]
    told = refused(service.post("/collections/default/items", {"items": items}), 422, "invalid_field")
    assert "valid boolean" in told["detail"]
    assert "string" in told["detail"]
    assert "list" in told["detail"] or "array" in told["detail"]


def test_an_empty_body_is_called_empty(service: Any, refused: Any) -> None:
    answer = service.http.post(f"{service.url}/v1{SEARCH}", content=b"", headers=JSON)
    assert "is empty" in refused(answer, 400, "malformed_json")["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "image/png", "application/xml"]
)
def test_media_types(service: Any, refused: Any, kind: str) -> None:
    answer = service.http.post(f"{service.url}/v1{SEARCH}", content=b'{"text": "a"}', headers={"Content-Type": kind})
    assert "application/json" in refused(answer, 415, "media_type")["detail"]


def test_media_type_with_parameters(service: Any) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"):
        answer = service.http.post(
            f"{service.url}/v1{SEARCH}", content=b'{"text": "a"}', headers={"Content-Type": kind}
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"text": "a"', b'{"text": "a"} x', b"text", b'{"text": NaN_}', b"\xff\xfe", b"\x00",
        b'{"text": "\xff"}', b'{"text": "\\ud800"}', b'{"a":' * 5000,
    ],
)  # fmt: skip
def test_malformed_json(service: Any, refused: Any, body: bytes) -> None:
    for path in (SEARCH, "/collections/default/items", "/collections/default/items:count", "/collections"):
        refused(service.http.post(f"{service.url}/v1{path}", content=body, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b'"text"', b"true"])
def test_json_that_is_no_object(service: Any, refused: Any, body: bytes) -> None:
    answer = service.http.post(f"{service.url}/v1{SEARCH}", content=body, headers=JSON)
    refused(answer, 422, "invalid_field")


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "a", "min_score": NaN}', b'{"text": "a", "min_score": Infinity}', b'{"vector": [1e999]}',
        b'{"text": "a", "limit": 1e400}', b'{"text": "a", "version": 99999999999999999999999}',
        b'{"parts": [{"text": "a", "weight": -Infinity}]}',
    ],
)  # fmt: skip
def test_numbers_that_are_none(service: Any, refused: Any, body: bytes) -> None:
    answer = service.http.post(f"{service.url}/v1{SEARCH}", content=body, headers=JSON)
    assert answer.status_code in (400, 422), answer.text
    refused(answer, answer.status_code, "invalid_field" if answer.status_code == 422 else "malformed_json")


def test_of_a_field_given_twice_the_last_counts(service: Any) -> None:
    body = b'{"text": "a", "limit": 3, "limit": 1}'
    answer = service.http.post(f"{service.url}/v1{SEARCH}", content=body, headers=JSON)
    assert len(answer.json()["hits"]) == 1


def test_long_names_are_cut_in_what_is_told(service: Any, refused: Any) -> None:
    told = refused(service.post(SEARCH, {"x" * 5000: 1}), 422, "unknown_field")
    assert len(told["detail"]) < 500
    assert len(told["field"]) <= 300
    told = refused(service.post(SEARCH, {"text": "a", "modality": "x" * 5000}), 422, "invalid_field", "modality")
    assert len(told["detail"]) < 500
    told = refused(service.post(SEARCH, {"image": "!" * 5000}), 422, "bad_image", "image")
    assert len(told["detail"]) < 500
    refused(service.post(SEARCH, {"text": "a" * 100_001}), 422, "invalid_field", "text")


def test_collection_names_in_paths(service: Any, refused: Any) -> None:
    for name in ("NoSuch", "a%20b", "%2e%2e", "a" * 64):
        refused(service.post(f"/collections/{name}/search", {"text": "a"}), 422, "bad_name")
    refused(service.post("/collections/nosuch/search", {"text": "a"}), 404, "collection_not_found")


def test_timeout_of_a_request(service: Any) -> None:
    assert service.post(f"{SEARCH}?timeout=5", {"text": "a"}).status_code == 200
