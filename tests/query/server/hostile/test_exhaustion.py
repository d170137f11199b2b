"""Those who want all of it: places in the queue, connections, the rate."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A URL that never answers."""
    server, held = socket.create_server(("127.0.0.1", 0), backlog=64), []

    def accept() -> None:
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/cat.png"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for one in held:
        one.close()


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack("--queue", 4, "--allow-private", "--deadline", 20)


def asking(target: Any, document: Any, path: str = "/v1/collections/c/search") -> socket.socket:
    """A connection on which a question was sent, and its answer not read."""
    connection = socket.create_connection(("127.0.0.1", target.port), timeout=30)
    body = json.dumps(document).encode()
    heads = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    connection.sendall("\r\n".join([*heads, "", ""]).encode() + body)
    return connection


def working(target: Any) -> int:
    lines = target.call("GET", "/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("oneword_requests_in_progress ")).split()[1]))


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_full_queue_says_so_at_once_and_empties_when_its_clients_leave(target: Any, silent: str) -> None:
    waiting = [asking(target, {"image": silent}) for _ in range(4)]
    try:
        until(lambda: working(target) == 4)
        for path in ("/v1/collections", "/v1/models"):
            answer = target.call("GET", path)
            assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
            assert "overloaded" in answer.text
            target.discreet(answer.text)
        assert target.call("GET", "/livez").status_code == 200  # those who look after it still can
        assert target.call("GET", "/readyz").status_code == 200
    finally:
        for one in waiting:
            one.close()
    until(lambda: working(target) == 0)
    target.alive()


def test_a_request_ends_when_its_time_is_up(target: Any, silent: str) -> None:
    answer = target.call("POST", "/v1/collections/c/search?timeout=0.5", json={"image": silent})
    target.check(answer, 504, "deadline")
    until(lambda: working(target) == 0)


def test_clients_that_leave_in_the_middle(target: Any) -> None:
    for number in range(60):
        connection = asking(target, {"text": f"question {number}"})
        if number % 3:
            connection.recv(number)
        connection.close()
    until(lambda: working(target) == 0)
    target.alive()


def test_two_hundred_idle_connections(target: Any) -> None:
    idle = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(200)]
    try:
        target.alive()
        for one in idle[::2]:
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        target.alive()
    finally:
        for one in idle:
            one.close()
    target.alive()


def test_answers_that_nobody_reads(target: Any) -> None:
    before = target.peak
    deaf = []
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", target.port))
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
        deaf.append(connection)
    target.alive()
    for one in deaf:
        one.close()
    assert target.peak < before + 200
    target.alive()


def test_who_asks_too_often_is_told_when_to_come_back(attack: Callable[..., Any]) -> None:
    target = attack("--rate", 5)
    answers = [target.call("GET", "/v1/models") for _ in range(60)]
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert refused[-1].json()["error"]["code"] == "too_many_requests"
    assert target.call("GET", "/livez").status_code == 200
    until(lambda: target.call("GET", "/v1/models").status_code == 200)
