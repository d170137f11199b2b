"""URLs of pictures that lead into our own network: none is connected to."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oneword import query


class Canary:
    """Counts connections to loopback, over IPv4 and IPv6."""

    def __init__(self) -> None:
        self.connections = 0
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.count, daemon=True).start()

    def count(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.socket.shutdown(socket.SHUT_RDWR)
    canary.socket.close()
    assert canary.connections == 0


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack()


HOSTS = """127.0.0.1 127.1 127.0.1 127.127.127.127 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 017700000001 0177.0.0.1
0177.0.0.01 00177.0.0.1 0.0.0.0 0 localhost LOCALHOST localhost. localhost.localdomain ip6-localhost 127.0.0.1.
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[2002:7f00:1::] [fe80::1] [fe80::1%25lo] [fd00::1] [fd00:ec2::254] [fc00::1] [ff02::1] [::ffff:169.254.169.254]
169.254.169.254 0xA9FEA9FE 2852039166 0251.0376.0251.0376 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.1 192.168.0.1
100.64.0.1 100.100.100.200 192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1
１２７.０.０.１ 127。0。0。1 ①②⑦.⓪.⓪.① ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ 127.0.0.1%00 127.0.0.1%2eexample.org""".split()

URLS = """http://user@127.0.0.1:{port}/ http://example.org@127.0.0.1:{port}/ http://example.org:80@127.0.0.1:{port}/
http://127.0.0.1:{port}#@example.org/ http://127.0.0.1:{port}?@example.org/ http://127.0.0.1:{port}\\@example.org/
http://127.0.0.1:{port}/#example.org http://example.org#@127.0.0.1:{port}@/ http:\\\\127.0.0.1:{port}/
http:///127.0.0.1:{port}/ http:127.0.0.1:{port} HTTP://127.0.0.1:{port}/ https://127.0.0.1:{port}/
http://[::1]:{port}@example.org/ http://127.0.0.1:0{port}/ http://127.0.0.1:{port}:80/ http://:{port}/ http://
http://[127.0.0.1]:{port}/ http://127.0.0.1:65536/ http://127.0.0.1:-1/ http://127.0.0.1:22/ http://127.0.0.1:6000/
http://metadata.google.internal/computeMetadata/v1/ http://%31%32%37.0.0.1:{port}/ http://127.0.0.1:{port}/%0d%0aHost:x
""".split()
CONTROLS = [
    "http://127.0.0.1:{port}/\r\nHost: example.org",
    "http://example.org\r\n@127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\x00.example.org:{port}/",
    "http://127.0.0.1\u00ad:{port}/",
    "http://127.0.0.1\u200b:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1 :{port}/",
]
OTHERS = [
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "dict://127.0.0.1:{port}/",
    "jar:http://127.0.0.1:{port}!/",
    "ldap://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "unix:///run/x.sock",
    "data:text/html,<script>",
    "http+unix://%2Frun%2Fx.sock/",
]
CODES = ("url_refused", "fetch_failed", "bad_image")


def questions(url: str) -> dict[str, tuple[str, Any]]:
    """Ways to have a picture fetched, each with its path."""
    return {
        "search": ("/v1/collections/c/search", {"image": url}),
        "part": ("/v1/collections/c/search", {"parts": [{"composed": {"image": url, "edit": "x"}}]}),
        "items": ("/v1/collections/c/items", {"items": [{"image": url}]}),
        "embeddings": ("/v1/embeddings", {"model": "hash", "input": [{"image": url}]}),
        "messages": (
            "/v1/embeddings",
            {
                "model": "hash",
                "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
            },
        ),
    }


@pytest.mark.parametrize("host", HOSTS)
def test_addresses_that_are_not_the_worlds(target: Any, canary: Canary, host: str) -> None:
    path, document = questions(f"http://{host}:{canary.port}/cat.png")["search"]
    target.check(target.call("POST", path, json=document), 422, CODES)
    assert canary.connections == 0


@pytest.mark.parametrize("url", [*URLS, *CONTROLS, *OTHERS])
def test_urls_that_readers_understand_differently(target: Any, canary: Canary, url: str) -> None:
    path, document = questions(url.replace("{port}", str(canary.port)))["search"]
    target.check(target.call("POST", path, json=document), 422, CODES)
    assert canary.connections == 0


@pytest.mark.parametrize("way", list(questions("")))
@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "0x7f.1"])
def test_every_way_in_is_guarded(target: Any, canary: Canary, way: str, host: str) -> None:
    path, document = questions(f"http://{host}:{canary.port}/cat.png")[way]
    target.check(target.call("POST", path, json=document), 422, CODES)
    assert canary.connections == 0


def test_what_our_names_resolve_to_is_not_told(target: Any, canary: Canary) -> None:
    told = target.call("POST", "/v1/collections/c/search", json={"image": f"http://localhost.:{canary.port}/"}).text
    assert "127.0.0.1" not in told
    assert "::1" not in told


@pytest.fixture
def elsewhere() -> Iterator[Callable[[str], str]]:
    """A server that redirects to where it is told."""
    to: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", to[-1])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def leading(where: str) -> str:
        to.append(where)
        return f"http://127.0.0.1:{server.server_address[1]}/cat.png"

    yield leading
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def private(attack: Callable[..., Any]) -> Any:
    return attack("--allow-private")


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "//100.100.100.200/",
        "gopher://127.0.0.1/",
    ],
)
def test_redirects_to_metadata_are_refused_even_where_private_networks_are_open(
    private: Any, elsewhere: Callable[[str], str], where: str
) -> None:
    answer = private.call("POST", "/v1/collections/c/search", json={"image": elsewhere(where)})
    private.check(answer, 422, "url_refused")


def test_a_service_that_fetches_nothing(attack: Callable[..., Any], canary: Canary) -> None:
    target = attack("--no-fetch", "--allow-private")
    for path, document in questions(f"http://127.0.0.1:{canary.port}/").values():
        target.check(target.call("POST", path, json=document), 422, "fetching_off")
    assert canary.connections == 0


REBINDING = """
import itertools
import socket
real, turn = socket.getaddrinfo, itertools.count()
def answers(host, port, *more, **names):
    name = host.decode() if isinstance(host, bytes) else host
    if name != "rebind.example":
        return real(host, port, *more, **names)
    address = ("93.184.216.34", "127.0.0.1")[next(turn) % 2]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 0)))]
socket.getaddrinfo = answers
"""


def test_a_name_that_answers_otherwise_the_next_time(
    attack: Callable[..., Any], canary: Canary, tmp_path: Path
) -> None:
    """What was checked is what is connected to: a name that is looked up again would lead to this machine."""
    (tmp_path / "sitecustomize.py").write_text(REBINDING, encoding="utf-8")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(query.__file__).parents[2])])}
    target = attack("--deadline", 2, env=env)
    url = f"http://rebind.example:{canary.port}/cat.png"
    codes = set()
    for _ in range(2):
        for path, document in questions(url).values():
            answer = target.call("POST", path, json=document)
            target.check(answer, (422, 504), (*CODES, "deadline"))
            codes.add(answer.json().get("code"))
    assert "url_refused" in codes  # the name did lead to this machine
    assert canary.connections == 0
