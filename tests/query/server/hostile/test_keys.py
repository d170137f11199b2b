"""Keys that are guessed, cut, mixed up, revoked, or may not do what they are used for."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from oneword.query.server import keys as key_file


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack(keys=True)


NEEDS = {"read": ("read", "write", "admin"), "write": ("write", "admin"), "admin": ("admin",)}
"""Of the scope that a route needs, those that have it."""

PUBLIC = {"/livez", "/readyz", "/openapi.json"}

ROUTES: dict[tuple[str, str], str] = {
    ("POST", "/v1/collections"): "admin",
    ("DELETE", "/v1/collections/{collection}"): "admin",
    ("POST", "/v1/collections/{collection}/verify"): "admin",
    ("POST", "/v1/collections/{collection}/build"): "admin",
    ("POST", "/v1/collections/{collection}/items"): "write",
    ("POST", "/v1/collections/{collection}/items:delete"): "write",
    ("DELETE", "/v1/collections/{collection}/items/{id}"): "write",
    ("POST", "/v1/jobs"): "admin",
    ("POST", "/v1/jobs/{job_id}:cancel"): "admin",
}
"""What changes anything; all others are for reading. A new route that writes must be added here."""

READING = ("/search", "/search:batch", "/items:get", "/items:count", "/items:scroll", "/embeddings")


def test_every_route_by_every_scope(target: Any) -> None:
    document = target.call("GET", "/openapi.json", key=None).json()
    seen = set()
    for path, methods in document["paths"].items():
        for method in map(str.upper, methods):
            if path in PUBLIC:
                target.check(target.call(method, path, key=None), 200)
                continue
            needed = ROUTES.get((method, path), "read")
            assert needed != "read" or method == "GET" or path.endswith(READING), f"{method} {path} needs which scope?"
            seen.add((method, path))
            url = path.format(collection="nowhere", id="none", job_id="none", model="none")
            target.check(target.call(method, url, key=None), 401, "key_missing")
            for scope in ("read", "write", "admin"):
                answer = target.call(method, url, key=scope, json={})
                target.discreet(answer.text)
                if scope in NEEDS[needed]:
                    assert answer.status_code not in (401,), (method, path, scope)
                    assert '"code":"scope_missing"' not in answer.text, (method, path, scope)
                else:
                    target.check(answer, 403, "scope_missing")
    assert set(ROUTES) <= seen


def wrong(keys: Any) -> dict[str, dict[str, str]]:
    """Headers that are nearly right."""
    read, admin = keys["read"], keys["admin"]
    prefix, id_, secret = admin.split("_", 2)
    bearer = {
        "nothing": "",
        "the prefix": f"{prefix}_{id_}_",
        "no secret": f"{prefix}_{id_}",
        "half": admin[: len(admin) // 2],
        "all but one": admin[:-1],
        "one more": admin + "A",
        "another's secret": f"{prefix}_{id_}_{read.split('_', 2)[2]}",
        "another's id": f"{prefix}_{read.split('_', 2)[1]}_{secret}",
        "another prefix": f"sk_{id_}_{secret}",
        "upper case": admin.upper(),
        "the secret alone": secret,
        "the id alone": id_,
        "twice": f"{admin},{admin}",
        "two": f"{read} {admin}",
        "quoted": f'"{admin}"',
        "NUL": f"{admin}\x00",
        "not Latin": f"{admin}é",
        "a wildcard": f"{prefix}_{id_}_*",
        "SQL": f"{prefix}_{id_}_' OR '1'='1",
        "long": "ow_" + "a" * 20_000,
        "underscores": "_" * 200,
    }
    return {
        **{name: {"Authorization": f"Bearer {key}"} for name, key in bearer.items()},
        "Basic": {"Authorization": f"Basic {admin}"},
        "no scheme": {"Authorization": admin},
        "a tab": {"Authorization": f"Bearer\t{admin}"},
        "Bearer twice": {"Authorization": f"Bearer Bearer {admin}"},
        "cookie": {"Cookie": f"api-key={admin}; Authorization=Bearer {admin}"},
        "another header": {"X-Api-Key": admin},
        "proxy's": {"Proxy-Authorization": f"Bearer {admin}"},
        "two that differ": {"Authorization": f"Bearer {admin}", "api-key": read},
        "one right": {"Authorization": f"Bearer {admin}", "api-key": ""},
        "forwarded": {"X-Forwarded-User": "admin", "X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/livez"},
    }


def test_keys_that_are_nearly_right(target: Any) -> None:
    for name, headers in wrong(target.keys).items():
        raw = [(one.encode(), value.encode("latin-1")) for one, value in headers.items()]
        try:
            answer = target.service.http.get(f"{target.url}/v1/collections", headers=raw)
        except httpx.LocalProtocolError:  # a client that will not send it
            assert name in ("NUL", "nothing")
            continue
        target.check(answer, (400, 401, 429), ("malformed", "key_missing", "key_unknown", "too_many_wrong_keys"))


def test_many_guesses_are_told_to_stop_and_the_right_key_still_works(target: Any) -> None:
    for number in range(60):
        answer = target.call("GET", "/v1/collections", key=f"ow_{number:08}_{'a' * 43}")
    target.check(answer, 429, "too_many_wrong_keys")
    assert int(answer.headers["retry-after"]) >= 1
    target.check(target.call("GET", "/v1/collections", key="read"), 200)


@pytest.mark.parametrize(
    "where", ["?key={0}", "?api-key={0}", "?api_key={0}", "?access_token={0}", "?authorization=Bearer%20{0}", "#{0}"]
)
def test_a_key_in_the_url_is_none(target: Any, where: str) -> None:
    answer = target.call("GET", "/v1/collections" + where.format(target.keys["admin"]), key=None)
    target.check(answer, 401, "key_missing")


def test_a_key_is_sent_once(target: Any) -> None:
    key = target.keys["admin"].encode()
    two = [(b"Authorization", b"Bearer " + key)] * 2
    target.check(target.service.http.get(f"{target.url}/v1/collections", headers=two), (401, 429))
    api_key = [(b"Api-Key", key)] * 2
    target.check(target.service.http.get(f"{target.url}/v1/collections", headers=api_key), (401, 429))


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/v1/me",
        "/v1/models",
        "//v1/collections",
        "/v1//collections",
        "/v1/./collections",
        "/livez/../v1/collections",
        "/livez%2f..%2fv1/collections",
        "/web/../v1/collections",
        "/web/%2e%2e/v1/collections",
        "/V1/collections",
        "/v1/collections/",
        "/v1/collections;x=1",
        "/v1/collections%00",
        "/%76%31/collections",
        "/v1/collections%3f",
        "/metrics/",
        "/docs/../v1/collections",
        "/redoc",
    ],
)
def test_no_path_leads_past_the_keys(target: Any, path: str) -> None:
    told = target.raw(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
    assert told.split()[1] in (b"400", b"401", b"404"), told[:300]
    assert b'"collections":[' not in told
    assert b"oneword_requests" not in told
    target.alive()


def test_what_is_revoked_is_out_at_once_and_others_stay(attack: Callable[..., Any]) -> None:
    target = attack(keys=True)
    file = target.folder / "keys.toml"
    before = key_file.read(file)
    assert target.call("GET", "/v1/collections", key="write").status_code == 200
    key_file.write(file, [key for key in before if key.name != "write"])
    target.check(target.call("GET", "/v1/collections", key="write"), 401)
    target.check(target.call("GET", "/v1/collections", key="read"), 200)
    for spoil in (lambda: file.write_text("not TOML at all [", encoding="utf-8"), file.unlink):
        spoil()
        assert target.call("GET", "/v1/collections", key="read").status_code == 401
        assert any("all API keys are refused" in line for line in target.service.log)
        key_file.write(file, before)
        target.check(target.call("GET", "/v1/collections", key="read"), 200)


def test_neither_keys_nor_questions_are_in_the_log(target: Any) -> None:
    asked = "a very private question"
    target.check(target.post("/search", {"text": asked, "filter": "nofield = 'private value'"}), 422)
    target.check(target.post("/search", {"text": asked}), 200)
    target.check(target.call("GET", "/v1/collections?key=ow_private_secret"), 200)
    target.check(target.call("GET", "/v1/collections", key="ow_private_secret"), (401, 429))
    log = "\n".join(target.service.log)
    for text in (*target.keys.values(), *(key.split("_", 2)[2] for key in target.keys.values())):
        assert text not in log
    for text in (asked, "private value", "ow_private_secret"):
        assert text not in log
    for line in target.service.log:
        json.loads(line)
