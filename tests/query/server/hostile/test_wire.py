"""HTTP that two readers may understand differently, and what is not HTTP; byte for byte."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack()


HIDDEN = b"DELETE /v1/collections/c HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/collections/c/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

SMUGGLED: dict[str, bytes] = {
    "length and chunks": POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunks and length": POST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + HIDDEN,
    "two lengths in one": POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a length with a space": POST + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "a length of another base": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n" + HIDDEN,
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded head": POST + b"X: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + HIDDEN,
    "a tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked, twice": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "NUL in a name": POST + b"Transfer\0-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "NUL in a value": POST + b"X: a\0b\r\n\r\n" + HIDDEN,
    "bare CR": POST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "LF alone": POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + HIDDEN,
    "LF in the head": POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks ended by LF": POST + CHUNKED + b"\r\n0\n\n" + HIDDEN,
    "a chunk's extension": POST + CHUNKED + b"\r\n0;a\nb\r\n\r\n" + HIDDEN,
    "a chunk that is longer": POST + CHUNKED + b"\r\n2\r\n{}abc\r\n0\r\n\r\n" + HIDDEN,
    "two hosts": b"GET /v1/collections HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET /v1/collections HTTP/1.1\r\n\r\n",
    "a host with a path": b"GET /v1/collections HTTP/1.1\r\nHost: localhost/evil\r\n\r\n",
    "a host with an @": b"GET /v1/collections HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n",
    "HTTP/0.9": b"GET /v1/collections\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "HTTP/9.9": b"GET /v1/collections HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(64),
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SMTP": b"EHLO example.org\r\nMAIL FROM:<a>\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "a proxy's head": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "nonsense": bytes(range(256)) * 4,
    "spaces before the method": b" " * 100 + b"GET / HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  /v1/collections  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with a space": b"GET /v1/col lections HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target that is not ASCII": b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with NUL": b"GET /v1/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no slash": b"GET v1/collections HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE": b"TRACE /v1/collections HTTP/1.1\r\nHost: localhost\r\nX-Secret: abc\r\n\r\n",
    "a method in small letters": b"get /v1/collections HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an unknown method": b"EVIL /v1/collections HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another server": b"GET http://evil.example/v1/nothing HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a target of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a head of 100 kB": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "10,000 heads": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "an upgrade": b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade to h2c": b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
}


LENIENT = {"two spaces"}
"""May be answered as if they were right (RFC 9112, section 3); mostly the client's end is seen before."""


@pytest.mark.parametrize("name", SMUGGLED)
def test_one_answer_at_most_and_nothing_is_done(target: Any, name: str) -> None:
    told = target.raw(SMUGGLED[name])
    statuses = [int(line.split()[1]) for line in told.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    allowed = statuses == [200] and name in LENIENT
    assert not statuses or allowed or (statuses[0] >= 400 and statuses[0] < 500), told[:500]
    assert b"evil" not in told.lower().split(b"\r\n\r\n")[0]
    target.discreet(told.decode("latin-1"))
    target.alive()
    assert target.post("/items:count").json()["count"] == 4  # the hidden request was not done


def test_absolute_targets_are_paths_of_ours(target: Any) -> None:
    head = b"GET http://evil.example/v1/collections HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    told = target.raw(head)
    assert b"evil" not in told
    target.alive()


def test_no_redirect_to_where_a_header_says(target: Any) -> None:
    for path in ("/v1/collections/", "//evil.example/", "/v1/collections/c/items:count/", "/livez/", "/\\evil.example"):
        told = target.raw(
            b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-Forwarded-Host: evil.example\r\n\r\n" % path.encode()
        )
        assert int(told.split()[1]) in (400, 404, 405)
        assert b"location:" not in told.lower()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "LOCK", "SEARCH"])
@pytest.mark.parametrize(
    "path", ["/", "/livez", "/openapi.json", "/v1/collections", "/v1/collections/c/search", "/v1/models", "/x"]
)
def test_other_methods(target: Any, method: str, path: str) -> None:
    answer = target.check(target.call(method, path), (200, 404, 405))
    assert answer.status_code != 405 or answer.headers["allow"]
    assert answer.status_code != 200 or (method == "HEAD")


def test_all_methods_of_a_path_are_allowed(target: Any) -> None:
    for path, methods in target.call("GET", "/openapi.json").json()["paths"].items():
        url = path.format(collection="c", id="none", job_id="none", model="none")
        if "{job_id}" not in path:
            told = target.call("PUT", url)
            assert set(told.headers["allow"].split(", ")) == {method.upper() for method in methods}, path


@pytest.mark.parametrize("id_", ["a\r\nSet-Cookie: x=y", "a" * 129, "<script>", "é", "", "a b", "../x"])
def test_request_ids_are_ours_unless_they_are_plain(target: Any, id_: str) -> None:
    lines = (
        b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %b\r\nConnection: close\r\n\r\n" % id_.encode()
    )
    told = target.raw(lines)
    assert b"set-cookie: x" not in told.lower()
    assert not id_ or id_.encode() not in told


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:80",
    "localhost:80:80",
    "[::1",
    "",
    "169.254.169.254",
    "0.0.0.0",
    "localhost\t",
    "loc\u0430lhost",
    "xn--localhost",
    "127.0.0.1@evil.example",
    "2130706433",
]


@pytest.mark.parametrize("host", HOSTS)
def test_pages_that_rebind_their_name(target: Any, host: str) -> None:
    told = target.raw(b"GET /v1/collections HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host.encode())
    assert told.split()[1] in (b"400", b"421"), told[:200]


ORIGINS = [
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://127.0.0.1:1",
    "file://",
    "",
    "http://localhost@evil.example",
    "http://[::1]",
    "chrome-extension://x",
    "HTTP://EVIL.EXAMPLE",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_others_change_nothing(target: Any, origin: str) -> None:
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        headers = {"Origin": origin, "Content-Type": kind}
        answer = target.call("POST", "/v1/collections/c/items:delete", content=b'{"ids": ["cat"]}', headers=headers)
        target.check(answer, 403, "wrong_origin")
        assert "access-control-allow-origin" not in answer.headers
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = target.call("OPTIONS", "/v1/collections/c/search", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    target.check(answer, 405)
