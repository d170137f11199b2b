"""Who is let in: keys, hosts, origins and rates; and the headers of every answer."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from oneword.query.errors import BadQuery
from oneword.query.server.app import protected
from oneword.query.server.auth import GUESSES, address
from oneword.query.server.config import ServerConfig
from oneword.query.server.connections import HttpProtocol
from oneword.query.server.headers import SAFE
from oneword.query.server.keys import Keys, make
from oneword.query.server.problem import Problem

Guard = Callable[..., ASGIApp]
KEY, TEXT = make("the shop", "write")
QUICK, QUICK_TEXT = make("quick", "read", rate=5)
KEYS = Keys([KEY, QUICK])
BEARER = {"Authorization": f"Bearer {TEXT}"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells who asks; raises by path."""
    if scope["path"].endswith("/broken"):
        raise KeyError("the secret thing")
    if scope["path"].endswith("/half"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise KeyError("the secret thing")
    if scope["path"].endswith("/bad"):
        raise BadQuery("limit is 0; expected 1 to 10000")
    if scope["path"].startswith("/web/"):
        headers = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60"}
        await Response(b"page", headers=headers)(scope, receive, send)
        return
    caller = scope["state"].get("principal")
    document = {"id": scope["state"]["request_id"], "who": caller and caller.id, "scope": caller and caller.scope}
    await JSONResponse(document)(scope, receive, send)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    def build(keys: Keys | None = KEYS, **settings: Any) -> ASGIApp:
        return protected(app, ServerConfig(**settings), keys, clock=clock)

    return build


def ask(
    guard: Any, path: str = "/v1/x", method: str = "GET", *, client: str = "192.0.2.1", **options: Any
) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(guard, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            return await http.request(method, path, **options)

    return asyncio.run(main())


def sent(one: Any, **scope: Any) -> list[Any]:
    """The messages that an application sends for such a scope."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(one(scope, None, send))
    return messages


def told(answer: httpx.Response) -> tuple[int, str]:
    document = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert document["detail"]
    return answer.status_code, document["code"]


def test_a_request_id_that_fits_is_kept(guard: Guard) -> None:
    for fits in ("a", "A-b_c.9", "x" * 128):
        answer = ask(guard(), headers={**BEARER, "X-Request-Id": fits})
        assert answer.headers["X-Request-Id"] == answer.json()["id"] == fits


@pytest.mark.parametrize("unfit", ["", "x" * 129, "a b", "a\tb", "é", "a\n", "<a>", "a;b"])
def test_another_is_made_anew(guard: Guard, unfit: str) -> None:
    headers = [(b"authorization", f"Bearer {TEXT}".encode()), (b"x-request-id", unfit.encode())]
    one, other = (ask(guard(), headers=headers).headers["X-Request-Id"] for _ in range(2))
    assert len({one, other, unfit}) == 3
    assert len(one) == 32


def test_two_request_ids_are_none(guard: Guard) -> None:
    headers = [*BEARER.items(), ("X-Request-Id", "a"), ("X-Request-Id", "b")]
    assert ask(guard(), headers=headers).headers.get_list("X-Request-Id") not in (["a"], ["b"], ["a", "b"])


@pytest.mark.parametrize("path", ["/v1/x", "/v1/broken", "/v1/bad", "/livez", "/nothing"])
@pytest.mark.parametrize("headers", [{}, BEARER, {"Authorization": "Bearer x"}])
def test_every_answer_has_the_safe_headers(guard: Guard, path: str, headers: dict[str, str]) -> None:
    answer = ask(guard(), path, headers=headers)
    for name, value in SAFE.items():
        assert answer.headers.get_list(name.decode()) == [value.decode()]


def test_pages_may_have_headers_of_their_own(guard: Guard) -> None:
    headers = ask(guard(), "/web/index.html").headers
    assert headers.get_list("Content-Security-Policy") == ["default-src 'self'"]
    assert headers.get_list("Cache-Control") == ["max-age=60"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_key_says_who_asks(guard: Guard) -> None:
    for headers in (BEARER, {"api-key": TEXT}):
        answer = ask(guard(), headers=headers)
        assert (answer.status_code, answer.json()["who"], answer.json()["scope"]) == (200, KEY.id, "write")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/", "/web", "/web/a.js"])
def test_some_paths_need_no_key(guard: Guard, path: str) -> None:
    answer = ask(guard(), path)
    assert answer.status_code == 200
    assert "who" not in answer.text or answer.json()["who"] is None


@pytest.mark.parametrize(
    "path", ["/metrics", "/v1/x", "/livez/", "/livezz", "//livez", "/webber", "/Web/", "/v1/web/", "/docsx"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD", "TRACE", "WHATEVER"])
def test_all_others_do(guard: Guard, path: str, method: str) -> None:
    answer = ask(guard(), f"http://localhost:8000{path}", method)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert method == "HEAD" or told(answer)[1] == "key_missing"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"Authorization": TEXT},
        {"Authorization": f"Basic {TEXT}"},
        {"Authorization": ""},
        {"Authorization": f"Bearer {TEXT[:-1]}"},
        {"api-key": "é".encode("latin-1")},
        {"Authorization": f"Bearer {TEXT}", "api-key": QUICK_TEXT},
        [("Authorization", f"Bearer {TEXT}"), ("Authorization", f"Bearer {TEXT}")],
        [("Authorization", f"Bearer {TEXT}"), ("api-key", TEXT), ("api-key", "x")],
    ],
)
def test_a_wrong_key_is_none(guard: Guard, headers: Any) -> None:
    answer = ask(guard(), headers=headers)
    assert told(answer) == (401, "key_unknown")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_without_keys_anyone_may_do_anything(guard: Guard) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert ask(guard(None), headers=headers).json() | {"id": ""} == {"id": "", "who": "anyone", "scope": "admin"}


def test_many_wrong_keys_from_one_address_are_told_to_stop(
    guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one = guard()
    wrong = {"Authorization": "Bearer ow_guess_guess"}
    assert {ask(one, headers=wrong).status_code for _ in range(GUESSES)} == {401}
    answer = ask(one, headers=wrong)
    assert told(answer) == (429, "too_many_wrong_keys")
    assert answer.headers["Retry-After"] == "3"
    assert ask(one, headers=wrong, client="192.0.2.2").status_code == 401
    # Behind a proxy the address is everybody's.
    assert ask(one, headers=BEARER).status_code == 200
    clock.now += 3
    assert [ask(one, headers=wrong).status_code for _ in range(2)] == [401, 429]
    assert "192.0.2.1" in caplog.text
    assert "guess" not in caplog.text


@pytest.mark.parametrize(
    ("client", "who"),
    [
        ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("a:b:nonsense", "a:b:nonsense"), (None, ""),
    ],
)  # fmt: skip
def test_an_address_is_what_one_client_has(client: str | None, who: str) -> None:
    assert address({"client": client and (client, 5)}) == who


def test_each_key_has_its_rate(guard: Guard, clock: Clock) -> None:
    one = guard(rate=2)
    for key, burst in ((QUICK_TEXT, 10), (TEXT, 4)):
        codes = [ask(one, headers={"api-key": key}, client=f"192.0.2.{n}").status_code for n in range(burst + 2)]
        assert codes == [200] * burst + [429] * 2
    answer = ask(one, headers=BEARER)
    assert told(answer) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "1"
    assert ask(one, "/livez", headers=BEARER).status_code == 200
    clock.now += 0.5
    assert [ask(one, headers=BEARER).status_code for _ in range(2)] == [200, 429]


def test_without_keys_each_address_has_its_rate(guard: Guard) -> None:
    one = guard(None, rate=1)
    assert [ask(one).status_code for _ in range(3)] == [200, 200, 429]
    assert ask(one, client="192.0.2.2").status_code == 200


HOSTS = ["localhost", "localhost:1", "LOCALHOST:8000", "localhost.", "127.0.0.1:8000", "[::1]:8000", "[::1]"]
REBOUND = [
    "evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.168.1.5:8000", "",
    "localhost@evil.example", "localhost:8000:8000", "localhost:x", "localhost/", " localhost x", "[::1", "::1",
    "[::2]",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_without_keys_it_answers_to_its_own_names(guard: Guard, host: str) -> None:
    assert ask(guard(None), headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("path", ["/v1/x", "/livez", "/web/a"])
def test_and_to_no_others(guard: Guard, host: str, path: str) -> None:
    assert told(ask(guard(None), path, headers={"Host": host})) == (421, "wrong_host")


def test_nor_to_two_or_none(guard: Guard) -> None:
    assert told(ask(guard(None), headers=[("Host", "localhost"), ("Host", "localhost")])) == (421, "wrong_host")
    assert sent(guard(None), type="http", method="GET", path="/v1/x", headers=[])[0]["status"] == 421


NAMES = ["photos.example", "https://photos.example", "PHOTOS.example:80", "2001:db8::1", "[2001:db8::1]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_may_be_allowed(guard: Guard, name: str) -> None:
    host = "[2001:db8::1]:8000" if "db8" in name else "photos.example:9000"
    assert ask(guard(None, hosts=(name,)), headers={"Host": host}).status_code == 200
    assert ask(guard(None, host=name), headers={"Host": host}).status_code == 200


def test_with_keys_any_name_will_do(guard: Guard) -> None:
    assert ask(guard(), headers={**BEARER, "Host": "evil.example"}).status_code == 200


@pytest.mark.parametrize("listens", ["0.0.0.0", "::"])
def test_a_service_of_all_addresses_answers_to_all_but_to_names(guard: Guard, listens: str) -> None:
    one = guard(None, host=listens, insecure=True)
    for host in ("192.168.1.5:8000", "[2001:db8::1]:8000", "localhost"):
        assert ask(one, headers={"Host": host}).status_code == 200
    for host in ("evil.example", "192.168.1.5.evil.example", "[192.168.1.5]"):
        assert ask(one, headers={"Host": host}).status_code == 421


OWN = ["http://localhost:8000", "https://localhost:8000", "HTTP://LOCALHOST:8000"]
STRANGERS = [
    "http://evil.example", "http://localhost:8001", "http://localhost", "null", "", "localhost:8000", "file://",
    "ftp://localhost:8000", "http://localhost:8000/", "http://localhost:8000, http://localhost:8000",
]  # fmt: skip


@pytest.mark.parametrize("keys", [KEYS, None])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "TRACE"])
def test_only_our_own_pages_may_change_anything(guard: Guard, keys: Keys | None, method: str) -> None:
    for origin in OWN:
        assert ask(guard(keys), method=method, headers={**BEARER, "Origin": origin}).status_code == 200
    for origin in STRANGERS:
        answer = ask(guard(keys), method=method, headers={**BEARER, "Origin": origin})
        assert told(answer) == (403, "wrong_origin"), origin
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_may_look_but_its_browser_shows_it_nothing(guard: Guard) -> None:
    answer = ask(guard(), headers={**BEARER, "Origin": "http://evil.example"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_port_of_a_scheme_may_be_left_out(guard: Guard) -> None:
    for origin, host in (("http://a.example", "a.example:80"), ("https://a.example:443", "a.example")):
        headers = {**BEARER, "Origin": origin, "Host": host}
        assert ask(guard(), method="POST", headers=headers).status_code == 200
    headers = {**BEARER, "Origin": "http://a.example:443", "Host": "a.example"}
    assert ask(guard(), method="POST", headers=headers).status_code == 403


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}
    return {"Origin": origin, **asked}


def test_pages_of_others_may_be_allowed(guard: Guard) -> None:
    one = guard(cors=("https://Photos.example/",))
    origin = "https://photos.example"
    answer = ask(one, method="OPTIONS", headers=preflight(origin))  # browsers send no key with it
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    answer = ask(one, method="POST", headers={**BEARER, "Origin": origin})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = ask(one, "/v1/broken", method="POST", headers={**BEARER, "Origin": origin})
    assert told(refused) == (500, "internal")
    assert refused.headers["Access-Control-Allow-Origin"] == origin
    assert told(ask(one, method="POST", headers={"Origin": origin})) == (401, "key_missing")
    assert told(ask(one, method="POST", headers={**BEARER, "Origin": "https://evil.example"})) == (403, "wrong_origin")
    assert ask(one, method="OPTIONS", headers=preflight("https://evil.example")).status_code == 400


def test_pages_of_all_may_be_allowed(guard: Guard) -> None:
    answer = ask(guard(cors=("*",)), method="POST", headers={**BEARER, "Origin": "https://any.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_by_default_there_is_no_cors(guard: Guard) -> None:
    answer = ask(guard(None), method="OPTIONS", headers=preflight("https://evil.example"))
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_an_exception_is_logged_and_not_told(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(guard(), "/v1/broken", headers={**BEARER, "X-Request-Id": "find-me"})
    assert told(answer) == (500, "internal")
    for hidden in ("secret", "KeyError", "Traceback", ".py"):
        assert hidden not in answer.text
    (record,) = caplog.records
    assert (record.levelno, record.request_id) == (logging.ERROR, "find-me")  # type: ignore[attr-defined]
    assert "find-me" in caplog.text
    assert "KeyError: 'the secret thing'" in caplog.text
    assert TEXT not in caplog.text


def test_errors_that_are_known_are_told(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(guard(), "/v1/bad", headers=BEARER)
    assert told(answer) == (422, "bad_query")
    assert "expected 1 to 10000" in answer.text
    assert not caplog.records


@pytest.mark.parametrize("path", ["/v1/models", "/v1/embeddings", "/v1/models/mini"])
def test_openais_paths_have_openais_errors(guard: Guard, path: str) -> None:
    error = ask(guard(), path, "POST").json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "key_missing")


def test_an_answer_that_breaks_off_looks_like_it(listening: Callable[..., int], guard: Guard) -> None:
    url = f"http://127.0.0.1:{listening(guard(), http=HttpProtocol)}"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/v1/half", headers=BEARER)
    assert httpx.get(f"{url}/v1/x", headers=BEARER).status_code == 200


def test_and_nothing_is_added_to_it(guard: Guard) -> None:
    headers = [(b"host", b"localhost"), (b"api-key", TEXT.encode())]
    messages = sent(guard(), type="http", method="GET", path="/v1/half", headers=headers)
    assert [message.get("status", message.get("body")) for message in messages] == [200, b"half"]


def test_bodies_are_limited_only_for_those_let_in(listening: Callable[..., int], guard: Guard) -> None:
    url = f"http://127.0.0.1:{listening(guard(max_body=100), http=HttpProtocol)}/v1/x"
    assert told(httpx.post(url, content=b"x" * 101)) == (401, "key_missing")
    assert told(httpx.post(url, content=b"x" * 101, headers=BEARER)) == (413, "body_too_large")
    assert httpx.post(url, content=b"x" * 100, headers=BEARER).status_code == 200


def test_lifespan_is_the_apps_and_websockets_are_closed() -> None:
    seen: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    one = protected(inner, ServerConfig(), None)
    assert sent(one, type="lifespan") == []
    assert sent(one, type="websocket", path="/", headers=[]) == [{"type": "websocket.close", "code": 1008}]
    assert seen == ["lifespan"]


def test_a_problem_is_a_document() -> None:
    assert json.loads(Problem("wrong_host", "x").response("id").body)["title"] == "Misdirected Request"
