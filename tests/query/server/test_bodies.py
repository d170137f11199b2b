import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import StreamingResponse

from oneword.query.server.bodies import Bodies
from oneword.query.server.connections import HttpProtocol
from oneword.query.server.headers import Headers

MAX = 1000


class App:
    """Answers with the size of the body; `/wait` works until it is cancelled, `/later` after its answer."""

    def __init__(self) -> None:
        self.started, self.cancelled, self.finished = threading.Event(), threading.Event(), threading.Event()
        self.tasks: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.tasks.append(len(asyncio.all_tasks()))
        if scope["path"] == "/stream":
            await StreamingResponse(self.stream())(scope, receive, send)
            return
        message = await receive()
        assert message["type"] == "http.request"
        assert not message["more_body"]
        if scope["path"] == "/wait":
            self.started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if scope["path"] == "/slow":
            await asyncio.sleep(0.05)
        answer = str(len(message["body"])).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        if scope["path"] == "/later":
            self.started.set()
            assert await receive() == {"type": "http.disconnect"}
            await asyncio.sleep(0.1)
            self.finished.set()

    async def stream(self) -> Any:
        try:
            yield b"first"
            self.started.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def bodies(app: App) -> Bodies:
    return Bodies(app, max_body=MAX, seconds=0.3)


@pytest.fixture(params=["asyncio", "uvloop"])
def port(bodies: Bodies, listening: Callable[..., int], request: pytest.FixtureRequest) -> int:
    return listening(Headers(bodies), http=HttpProtocol, loop=request.param)


def exchange(port: int, sent: bytes) -> bytes:
    """What comes back until the server closes, or until the first answer's body is whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return b"%d %s" % (response.status, response.read())


def told(answer: bytes) -> tuple[int, str]:
    status, _, body = answer.partition(b" ")
    return int(status), json.loads(body)["code"]


def emptied(bodies: Bodies) -> bool:
    """Waits until no body is held: an answer is out a moment before its request's is let go."""
    for _ in range(1000):
        if bodies.held == 0:
            return True
        time.sleep(0.005)
    return False


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("size", [0, 1, MAX])
def test_bodies_come_whole(port: int, size: int) -> None:
    url = f"http://127.0.0.1:{port}/"
    assert httpx.post(url, content=b"x" * size).text == str(size)
    pieces = (b"x" for _ in range(size))
    assert httpx.post(url, content=pieces).text == str(size)
    assert httpx.request("DELETE", url, content=b"x" * size).text == str(size)


def test_a_body_in_many_packets_comes_whole(port: int, bodies: Bodies) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(HEAD + b"Content-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(0.01)
            connection.sendall(b"x")
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            assert response.read() == b"6"
    assert emptied(bodies)


def test_a_large_body_is_refused_before_it_is_sent(port: int) -> None:
    assert told(exchange(port, HEAD + b"Content-Length: 1001\r\n\r\n")) == (413, "body_too_large")
    assert told(exchange(port, HEAD + b"Content-Length: 99999999999999999999\r\n\r\n"))[0] in (400, 413)
    expecting = HEAD + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
    assert told(exchange(port, expecting)) == (413, "body_too_large")


def test_a_client_that_sends_it_all_the_same_is_told(port: int, bodies: Bodies) -> None:
    url = f"http://127.0.0.1:{port}/"
    with httpx.Client() as client:
        answer = client.post(url, content=b"x" * 4_000_000)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert client.post(url, content=b"x").text == "1"
    assert emptied(bodies)


def test_a_body_of_unknown_size_is_refused_when_it_is_too_large(port: int, bodies: Bodies) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"64\r\n" + b"x" * 100 + b"\r\n"
    assert told(exchange(port, chunked + (b"64\r\n" + b"x" * 100 + b"\r\n") * 10)) == (413, "body_too_large")
    assert emptied(bodies)


@pytest.mark.parametrize("start", [b"Content-Length: 10\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"])
def test_a_slow_body_is_refused(port: int, bodies: Bodies, app: App, start: bytes) -> None:
    assert told(exchange(port, HEAD + start)) == (408, "body_too_slow")
    assert emptied(bodies)
    assert not app.tasks


def test_encoded_bodies_are_refused(port: int) -> None:
    url = f"http://127.0.0.1:{port}/"
    for encoding in ("gzip", "identity, gzip", "br"):
        answer = httpx.post(url, content=b"x", headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["code"]) == (415, "body_encoded")
    assert httpx.post(url, content=b"x", headers={"Content-Encoding": "Identity"}).text == "1"
    assert httpx.get(url, headers={"Content-Encoding": "gzip"}).text == "0"


def test_all_bodies_together_are_bounded(app: App, listening: Callable[..., int]) -> None:
    bodies = Bodies(app, max_body=MAX, seconds=10, max_held=MAX)
    port = listening(Headers(bodies), http=HttpProtocol)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 900\r\n\r\n" + b"x" * 800)
        while bodies.held < 800:
            time.sleep(0.005)
        answer = httpx.post(f"http://127.0.0.1:{port}/", content=b"x" * 201)
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "busy", "1")
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"x" * 200).text == "200"
    assert emptied(bodies)
    assert app.tasks == app.tasks[:1]  # the half body never reached the app, nor did the one too many


@pytest.mark.parametrize(
    "request_", [b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n", HEAD.replace(b"/ ", b"/wait ") + b"\r\n"]
)
def test_no_one_works_for_who_has_gone(port: int, app: App, bodies: Bodies, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request_)
        assert app.started.wait(10)
    assert app.cancelled.wait(10)


def test_a_stream_ends_when_its_reader_has_gone(port: int, app: App) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.started.wait(10)
        assert connection.recv(9999).startswith(b"HTTP/1.1 200")
    assert app.cancelled.wait(10)


def test_work_after_the_answer_goes_on_without_the_client(port: int, app: App) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.started.wait(10)
    assert app.finished.wait(10)


def test_many_requests_of_one_connection_leave_no_tasks(port: int, app: App) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            assert client.post("/slow", content=b"abc").text == "3"
            assert client.get("/").text == "0"
    assert max(app.tasks) <= min(app.tasks) + 1  # a watcher that was cancelled may end a moment later


def test_pipelined_requests_are_all_answered(port: int) -> None:
    one = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(one * 5)
        got = b""
        while got.count(b"\r\n\r\n3") < 5:
            piece = connection.recv(9999)
            assert piece
            got += piece


def scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], **changes}


def run(app: Any, *, gone_after: float | None = None, cancel_after: float | None = None) -> list[str]:
    """Runs one request without a server; the client goes away, or the server ends it, after so many seconds."""
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60 if gone_after is None else gone_after)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def main() -> None:
        async def one() -> None:
            await Bodies(app, max_body=MAX, seconds=1)(scope(), receive, send)  # type: ignore[arg-type]
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

        task = asyncio.create_task(one())
        if cancel_after is not None:
            await asyncio.sleep(cancel_after)
            task.cancel()
        try:
            await task
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return sent


def test_the_servers_own_end_is_not_mistaken_for_the_clients() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    assert run(app, gone_after=0.05) == []
    with pytest.raises(asyncio.CancelledError):
        run(app, cancel_after=0.05)


def test_what_the_app_raises_comes_through() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise KeyError

    with pytest.raises(KeyError):
        run(app, gone_after=0.02)


def test_an_app_may_finish_what_must_not_be_left_half_done() -> None:
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)  # not cancelled a second time
            done.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]

    assert run(app, gone_after=0.02) == []
    assert done == [1]


def test_who_waits_for_the_end_of_the_client_is_told() -> None:
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append((await receive())["type"])
        try:
            await asyncio.shield(receive())
        except asyncio.CancelledError:
            told.append("cancelled")
        told.append((await receive())["type"])

    run(app, gone_after=0.02)
    assert told == ["http.request", "cancelled", "http.disconnect"]


def test_what_is_no_request_is_passed_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))

    asyncio.run(Bodies(app, max_body=1, seconds=1)({"type": "lifespan"}, "receive", "send"))  # type: ignore[arg-type]
    assert seen == [("lifespan", "receive", "send")]
