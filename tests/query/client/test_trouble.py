"""What goes wrong on the way: busy and broken servers, proxies, redirects, keys."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from oneword.query.client import (
    BadAnswer,
    Busy,
    Client,
    ClientError,
    NotThere,
    Refused,
    Rejected,
    ServerUnreachable,
    calls,
)
from oneword.query.client.server import Server

OK = (  # closed by the server: a connection that is kept could be taken for the next request before its end is seen
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 11\r\n\r\n{"count":4}'
)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_are_asked_again(client: Any, service: Any, problem_of: Callable[..., Any], status: int) -> None:
    service.scripted += [problem_of(status, "busy", "too busy", {"Retry-After": "0"}) for _ in range(2)]
    assert client.upsert([{"id": "a", "text": "cat"}]).added == 1
    assert len(service.asked) == 3


def test_who_stays_busy_is_given_up(connect: Any, service: Any, problem_of: Callable[..., Any]) -> None:
    client = connect(service.url, retries=1)
    service.scripted += [problem_of(503, "queue_full", f"full {n}", {"Retry-After": "0"}) for n in range(9)]
    with pytest.raises(Busy, match="full 1") as caught:
        client.search("cat")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "queue_full", 0)
    assert len(service.asked) == 2


def conversation(call: Any, retries: int = 3) -> Any:
    return Server("http://localhost:1", None, retries=retries).ask(call)


def answered(request: Any, status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()}, request=request)


def test_waits_are_as_long_as_asked_for_and_grow_otherwise() -> None:
    talk = conversation(calls.count(None, "default"))
    request = next(talk)
    assert talk.send(answered(request, 503, Retry_After="7")) >= 7
    request = next(talk)
    assert 0.25 <= talk.send(httpx.ConnectError("refused")) <= 0.5
    request = next(talk)
    assert 0.5 <= talk.send(answered(request, 429)) <= 1
    request = next(talk)
    with pytest.raises(Busy):
        talk.send(answered(request, 429))


def test_a_server_that_asks_for_too_long_a_wait_is_given_up() -> None:
    talk = conversation(calls.count(None, "default"))
    with pytest.raises(Busy) as caught:
        talk.send(answered(next(talk), 503, Retry_After="31"))
    assert caught.value.retry_after == 31


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_what_was_never_sent_is_sent_again_whatever_it_does(error: Exception) -> None:
    talk = conversation(calls.start_job(["/photos"], "default"))
    next(talk)
    assert isinstance(talk.send(error), float)


@pytest.mark.parametrize(
    "error", [httpx.ReadError("x"), httpx.WriteError("x"), httpx.RemoteProtocolError("x"), httpx.ReadTimeout("x")]
)
def test_what_may_have_been_done_is_not_done_twice(error: Exception) -> None:
    talk = conversation(calls.start_job(["/photos"], "default"))
    next(talk)
    with pytest.raises(ServerUnreachable):
        talk.send(error)


def test_lost_connections_are_made_again_for_reads_alone(connect: Any, rude: Any) -> None:
    url, requests = rude([b"", OK, b""])
    client = connect(url)
    assert client.count() == 4
    assert len(requests) == 2
    with pytest.raises(ServerUnreachable, match=r"connection was lost.*may have been done"):
        client.delete("a")
    assert len(requests) == 3


def test_nobody_there(connect: Any) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        client = connect(url, retries=1)
        with pytest.raises(ServerUnreachable, match=f"{url}: cannot be reached .*after 2 tries.*oneword serve"):
            client.search("cat")


def test_no_answer_in_time(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = connect(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=0.1)
        with pytest.raises(ServerUnreachable, match="does not answer in time"):
            client.search("cat")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, Rejected), (409, Rejected), (413, Rejected), (415, Rejected), (422, Rejected), (501, Rejected)),
        *((401, Refused), (403, Refused), (404, NotThere), (410, NotThere), (504, Busy), (500, ClientError)),
    ],
)
def test_problems_become_errors(
    client: Any, service: Any, problem_of: Callable[..., Any], status: int, kind: type
) -> None:
    service.scripted.append(
        problem_of(status, "some_code", "x is wrong", field="parts[0]", remedy="Change x.", request_id="r1")
    )
    with pytest.raises(ClientError) as caught:
        client.search("cat")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.detail, error.field) == (status, "some_code", "x is wrong", "parts[0]")
    assert (error.remedy, error.request_id, str(error)) == ("Change x.", "r1", "x is wrong. Change x.")
    assert len(service.asked) == 1


def test_errors_in_openais_form_are_read(client: Any, service: Any) -> None:
    told = {"error": {"message": "no such model", "type": "not_found_error", "param": "model", "code": "unknown"}}
    service.scripted.append(JSONResponse(told, 404, {"X-Request-Id": "r2"}))
    with pytest.raises(NotThere, match="no such model") as caught:
        client.embed(["cat"], model="x")
    assert (caught.value.code, caught.value.field, caught.value.request_id) == ("unknown", "model", "r2")


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxys_page_is_shown_as_what_it_is(client: Any, service: Any, status: int) -> None:
    service.scripted.append(HTMLResponse("<html>\n <h1>Bad Gateway</h1> nginx" + "x" * 5000, status))
    with pytest.raises(BadAnswer, match=r"text/html, '<html> <h1>Bad Gateway</h1> nginxx") as caught:
        client.search("cat")
    assert caught.value.status == status
    assert service.url in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "document", [None, [], {}, {"hits": 3}, {"hits": [{}], "timings": {}}, {"hits": [], "timings": {"encode_ms": "x"}}]
)
def test_json_that_is_no_answer_is_told(client: Any, service: Any, document: Any) -> None:
    service.scripted.append(JSONResponse(document))
    with pytest.raises(BadAnswer, match="answers what cannot be read"):
        client.search("cat")


@pytest.mark.parametrize("data", [[], [{"index": 0, "embedding": "?"}], [{"index": 1, "embedding": "AAAAAA=="}]])
def test_embeddings_that_are_not_one_an_input_are_told(client: Any, service: Any, data: Any) -> None:
    service.scripted.append(JSONResponse({"data": data}))
    with pytest.raises(BadAnswer):
        client.embed(["cat"], model="hash")


def test_the_key_stays_at_home_when_an_original_is_elsewhere(client: Any, service: Any, elsewhere: Any) -> None:
    elsewhere.scripted.append(Response(b"cat", media_type="image/png"))
    service.scripted.append(RedirectResponse(f"{elsewhere.url}/cat.png", 302))
    file = client.original("a")
    assert (file.content, file.media_type) == (b"cat", "image/png")
    assert service.asked[0].headers["authorization"] == "Bearer secret"
    assert "secret" not in str(elsewhere.asked[0])
    assert "authorization" not in elsewhere.asked[0].headers


def test_the_key_comes_along_within_the_server(client: Any, service: Any) -> None:
    service.items["a"] = {}
    service.scripted.append(RedirectResponse("/v1/collections/default/items/a/thumbnail", 302))
    assert client.original("a").content == b"picture of a"
    assert service.asked[1].headers["authorization"] == "Bearer secret"


def test_redirects_of_anything_else_are_not_followed(client: Any, service: Any, elsewhere: Any) -> None:
    service.scripted.append(RedirectResponse(f"{elsewhere.url}/v1/collections/default/search", 307))
    with pytest.raises(BadAnswer, match="redirects are not followed"):
        client.search("cat")
    assert elsewhere.asked == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/x", "mailto:x"])
def test_an_original_is_not_looked_for_anywhere_but_the_web(client: Any, service: Any, location: str) -> None:
    service.scripted.append(Response(status_code=302, headers={"Location": location}))
    with pytest.raises(BadAnswer, match=r"expected an http or https URL|not a URL"):
        client.original("a")


def test_a_redirect_to_no_url_is_told() -> None:
    talk = conversation(calls.original("a", "default"))
    with pytest.raises(BadAnswer, match="InvalidURL"):
        talk.send(answered(next(talk), 302, Location="https://example.org/" + "x" * 100_000))


def test_redirects_in_circles_end(client: Any, service: Any) -> None:
    service.scripted += [RedirectResponse("/round", 302) for _ in range(9)]
    with pytest.raises(BadAnswer, match="redirects to '/round'"):
        client.original("a")
    assert len(service.asked) == 6


def test_the_key_is_in_no_url_no_message_and_no_repr(connect: Any, service: Any, problem_of: Any) -> None:
    client = connect(service.url, key="secret")
    service.scripted.append(problem_of(401, "unknown_key", "the key is not known"))
    with pytest.raises(Refused) as caught:
        client.search("cat")
    assert "secret" not in f"{caught.value} {client!r} {service.asked[0].path} {service.asked[0].query}"
    connect(service.url).search("cat")
    assert "authorization" not in service.asked[1].headers


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "", "ftp://x", "http://", "http://x?key=1", "http://x#y", "https://me:secret@x", "mailto:x"],
)
def test_urls_that_are_no_servers_are_refused(url: str) -> None:
    with pytest.raises(ClientError, match="URL") as caught:
        Client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " ", "secret\n", "secret\r\nX-Evil: 1", "sécret"])
def test_keys_that_are_none_are_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ClientError, match="the key") as caught:
        Client("http://localhost", key=key)
    assert "cret" not in str(caught.value)


def test_a_service_below_a_path_is_reached_there(connect: Any, service: Any) -> None:
    with pytest.raises(NotThere):
        connect(f"{service.url}/a%20b/").count()
    assert service.asked[0].path == "/a%20b/v1/collections/default/items:count"
