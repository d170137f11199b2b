"""Real HTTP servers on loopback, and a world in which public names lead to them."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import pytest

from oneword.engine.fetching import FetchConfig, Fetcher

CERTIFICATE = Path(__file__).with_name("pictures.test.pem")
"""Key and certificate of `pictures.test`, signed by itself; made with openssl for these tests, valid for 100 years."""

PUBLIC = "93.184.216.34"

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Counts requests and answers as told."""

    daemon_threads = True

    def __init__(self, answer: Answer, *, tls: bool = False) -> None:
        asked = self.asked = []  # type: list[tuple[str, dict[str, str]]]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else the body waits for the client to acknowledge the headers

            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                try:
                    answer(self)
                except OSError:  # the client has left
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def handle_error(self, *_: Any) -> None:
        pass  # a client that refuses our certificate is what some tests want


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[tuple[Server, threading.Thread]] = []

    def start(answer: Answer, *, tls: bool = False) -> Server:
        server = Server(answer, tls=tls)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


class World:
    """Resolves names as told, and leads connections to public addresses to this machine instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.resolved: list[str] = []
        self.connected: list[str] = []
        connect = httpcore.SyncBackend.connect_tcp

        def here(backend: Any, host: str, port: int, *args: Any) -> httpcore.NetworkStream:
            self.connected.append(host)
            return connect(backend, "127.0.0.1", port, *args)

        monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", here)

    def add(self, name: str, *answers: list[str]) -> None:
        """What a name resolves to: the first time, the second time, ...; the last answer stays."""
        self.names[name] = list(answers)

    def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        self.resolved.append(host)
        if host not in self.names:
            return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options)
        answers = self.names[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, port)) for address in found]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def send(handler: BaseHTTPRequestHandler, status: int = 200, body: bytes = b"", **headers: str) -> None:
    """A whole answer; `_` in a header's name is a hyphen."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """Trusts the certificate of `pictures.test`."""
    context = ssl.create_default_context()
    context.load_verify_locations(CERTIFICATE)
    return context


HERE = FetchConfig(allow_private=True, backoff=0.0, deadline=20.0)

TRUSTED = httpcore.default_ssl_context()  # reading the certificates takes longer than most tests


def fetch(url, config=HERE, **options):
    with Fetcher(config, **{"ssl_context": TRUSTED, **options}) as fetcher:
        return fetcher.fetch(url)


def failure(kind, match, *given, **options):
    """The error that `fetch` raises."""
    with pytest.raises(kind, match=match) as caught:
        fetch(*given, **options)
    return caught.value


@pytest.fixture
def over():
    """Set at the end of the test, so that whoever waits for it ends, too."""
    event = threading.Event()
    yield event
    event.set()
