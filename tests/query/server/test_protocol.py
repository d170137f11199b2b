import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oneword.query.server.connections import HttpProtocol

SECONDS = 0.25


class Impatient(HttpProtocol):
    seconds = SECONDS


class App:
    def __init__(self) -> None:
        self.headers: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append(scope["headers"])
        if scope["path"] == "/slow":
            await asyncio.sleep(3 * SECONDS)
        if scope["path"] == "/read":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def app() -> App:
    return App()


class Client:
    """One connection, byte for byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.reader = self.socket.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status = int(self.reader.readline().split()[1])
        headers = {}
        while (line := self.reader.readline()) != b"\r\n":
            name, _, value = line.decode().partition(": ")
            headers[name] = value.strip()
        return status, headers, self.reader.read(int(headers["content-length"]))

    def ok(self) -> bool:
        return self.answer()[::2] == (200, b"ok")

    def refused(self) -> tuple[int, str]:
        """Status and code of a problem, after which the connection is closed."""
        status, headers, body = self.answer()
        document = json.loads(body)
        assert headers["content-type"] == "application/problem+json"
        assert headers["x-content-type-options"] == "nosniff"
        assert document["request_id"] == headers["x-request-id"]
        assert self.closed()
        return status, document["code"]

    def closed(self) -> bool:
        """Waits until the server has closed the connection, without another word."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def drip(self, piece: bytes, *, pause: float = SECONDS / 8) -> None:
        """Sends a piece again and again until the server closes, as it must."""
        for _ in range(2000):
            try:
                self.send(piece)
                if select.select([self.socket], [], [], pause)[0] and self.socket.recv(9999) == b"":
                    return
            except (ConnectionResetError, BrokenPipeError):
                return
        assert self.closed(), "the server goes on listening"


@pytest.fixture(params=["asyncio", "uvloop"])
def client(app: App, listening: Callable[..., int], request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(listening(app, http=Impatient, timeout_keep_alive=60, loop=request.param)) as one:
        yield one


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: a\r\n"


def test_a_slow_head_is_refused(client: Client, app: App) -> None:
    client.send(b"GET / HTTP/1.1\r\nHo")
    assert client.refused() == (408, "head_too_slow")
    assert not app.headers


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"x"])
def test_a_head_that_never_ends_is_cut_off(client: Client, piece: bytes) -> None:
    client.send(b"GET / HTTP/1.1\r\n")
    client.drip(piece)


def test_a_connection_that_says_nothing_is_closed(client: Client) -> None:
    assert client.closed()


def test_blank_lines_are_no_head(client: Client) -> None:
    client.drip(b"\r\n")


def test_nor_are_they_after_an_answer(client: Client) -> None:
    client.send(GET)
    assert client.ok()
    client.drip(b"\r\n")


def test_the_second_head_has_its_time_too(client: Client) -> None:
    client.send(GET + GET[:10])
    assert client.ok()
    assert client.refused() == (408, "head_too_slow")


def test_each_head_has_its_own_time(app: App, listening: Callable[..., int]) -> None:
    class Patient(HttpProtocol):
        seconds = 1.0

    with Client(listening(app, http=Patient)) as client:
        client.send(GET[:10])
        for _ in range(2):  # in one packet, the end of a head and the start of the next
            time.sleep(0.6)
            client.send(GET[10:] + GET[:10])
            assert client.ok()


def test_slow_answers_slow_bodies_and_idle_connections_are_not_its_concern(client: Client) -> None:
    client.send(GET.replace(b"/ ", b"/slow "))
    assert client.ok()
    time.sleep(2 * SECONDS)
    client.send(POST % b"/read" + b"Content-Length: 2\r\n\r\nx")
    time.sleep(2 * SECONDS)
    client.send(b"x")
    assert client.ok()


def test_a_slow_head_waits_for_the_answer_before_it(client: Client) -> None:
    client.send(GET.replace(b"/ ", b"/slow ") + GET[:10])
    assert client.ok()
    assert client.refused() == (408, "head_too_slow")


@pytest.mark.parametrize("rest", [b"Content-Length: 1000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_what_is_answered_before_its_body_has_not_for_ever(client: Client, rest: bytes) -> None:
    client.send(POST % b"/" + rest)
    assert client.ok()
    piece = b"x" if b"Length" in rest else b"1\r\nx\r\n"
    client.drip(piece)


def test_a_body_that_ends_after_the_answer_is_followed_by_the_next_request(client: Client) -> None:
    for _ in range(2):
        client.send(POST % b"/" + b"Content-Length: 2\r\n\r\nx")
        assert client.ok()
        client.send(b"x")
    time.sleep(2 * SECONDS)
    client.send(GET)
    assert client.ok()


def test_and_an_idle_connection_after_that_is_closed(app: App, listening: Callable[..., int]) -> None:
    port = listening(app, http=HttpProtocol, timeout_keep_alive=0.3)
    with Client(port) as client:
        client.send(POST % b"/" + b"Content-Length: 2\r\n\r\nx")
        assert client.ok()
        client.send(b"x")
        assert client.closed()


def lines(size: int) -> bytes:
    """Header lines of so many bytes."""
    return b"X: " + b"y" * (size - 5) + b"\r\n"


@pytest.mark.parametrize("pieces", [1, 10])
@pytest.mark.parametrize("whole", [True, False])
def test_a_large_head_is_refused(client: Client, app: App, pieces: int, whole: bool) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines(4000) * 9 + b"\r\n" * whole
    step = len(head) // pieces + 1
    for start in range(0, len(head), step):
        client.send(head[start : start + step])
    assert client.refused() == (431, "head_too_large")
    assert not app.headers


def test_a_long_path_is_a_large_head(client: Client) -> None:
    client.send(GET.replace(b"/ ", b"/" + b"x" * 40_000 + b" "))
    assert client.refused() == (431, "head_too_large")


def test_a_large_body_is_no_large_head(client: Client) -> None:
    for size in (60_000, 1_000_000):
        start = POST % b"/read" + lines(20_000)
        client.send(start + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        assert client.ok()
        chunks = (b"1000\r\n" + b"x" * 4096 + b"\r\n") * (size // 4096) + b"0\r\n\r\n"
        client.send(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert client.ok()


CHUNKED = POST % b"/read" + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("start", [b"1;x=", b"1\r\nx\r\n0\r\nX: ", b"1\r\nx\r\n0\r\n" + lines(3000) * 9])
def test_what_surrounds_a_body_is_bounded_too(client: Client, start: bytes) -> None:
    client.send(CHUNKED + start)
    client.drip(lines(1000) if start.endswith(b"\n") else b"y" * 1000, pause=0)


def test_trailers_are_no_headers(client: Client, app: App) -> None:
    client.send(CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + GET)
    assert client.ok()
    assert client.ok()
    assert [[name for name, _ in headers] for headers in app.headers] == [[b"host", b"transfer-encoding"], [b"host"]]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        POST % b"/" + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        POST % b"/" + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST % b"/" + b"Content-Length: -1\r\n\r\n",
        b"CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(client: Client, app: App, sent: bytes) -> None:
    client.send(sent)
    assert client.refused() == (400, "malformed")
    assert not app.headers


def test_a_flood_of_requests_at_once_is_cut_off(client: Client, app: App) -> None:
    client.send(GET.replace(b"/ ", b"/slow ") + GET * 17)
    assert client.closed()
    assert len(app.headers) <= 1


def test_a_few_requests_at_once_are_answered(client: Client) -> None:
    client.send(GET * 16)
    assert all(client.ok() for _ in range(16))


class Telling:
    """Answers with more than any buffer takes."""

    size = 64 * 2**20

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % self.size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/whole":
            await send({"type": "http.response.body", "body": bytes(self.size)})
            return
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Quick(HttpProtocol):
    read_seconds = SECONDS
    lost = threading.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_does_not_read_is_not_waited_for(listening: Callable[..., int], loop: str, path: str) -> None:
    Quick.lost.clear()
    with Client(listening(Telling(), http=Quick, loop=loop)) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert Quick.lost.wait(10), "the server keeps the answer"


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
def test_who_reads_slowly_gets_all(listening: Callable[..., int], path: str) -> None:
    with Client(listening(Telling(), http=Quick)) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for _ in range(8):
            time.sleep(SECONDS / 2)
            assert len(client.reader.read(8 * 2**20 - 1)) == 8 * 2**20 - 1
        assert client.reader.read(1)
