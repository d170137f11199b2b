"""How many connections there may be, and which of them make room."""

import resource
import socket
from typing import Any

import pytest

from oneword.query.server import connections
from oneword.query.server.connections import Connections, available_connections, network


class Connection:
    def __init__(self, *, idle: bool = True) -> None:
        self.idle, self.ended = idle, False

    def end(self) -> None:
        self.ended = True


def test_the_longest_idle_makes_room() -> None:
    bound = Connections(4)
    first, busy, third, fourth = Connection(), Connection(idle=False), Connection(), Connection()
    for number, one in enumerate((first, busy, third, fourth)):
        assert bound.admit(one, f"10.0.0.{number}")
    bound.touch(first)
    assert bound.admit(Connection(), "10.0.0.9")
    assert [one.ended for one in (first, busy, third, fourth)] == [False, False, True, False]
    assert len(bound) == 4


def test_an_address_has_half_and_makes_room_for_itself_alone() -> None:
    bound = Connections(4)
    other, mine = Connection(), [Connection(), Connection()]
    assert bound.admit(other, "10.0.0.1")
    assert all(bound.admit(one, "10.0.0.2") for one in mine)
    assert bound.admit(Connection(), "10.0.0.2")
    assert [one.ended for one in (other, *mine)] == [False, True, False]


def test_nobody_who_is_at_work_is_cut_off() -> None:
    bound = Connections(2)
    one, two = Connection(idle=False), Connection(idle=False)
    assert bound.admit(one, "10.0.0.1")
    assert not bound.admit(Connection(), "10.0.0.1")  # half of them
    assert bound.admit(two, "10.0.0.2")
    assert not bound.admit(Connection(), "10.0.0.3")
    bound.remove(one)
    bound.remove(one)
    assert bound.admit(Connection(), "10.0.0.1")
    assert not two.ended


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("nonsense:", "nonsense:"),
        ("", ""),
    ],
)
def test_whom_limits_count_as_one(host: str, source: str) -> None:
    assert network(host) == source


@pytest.mark.parametrize(
    ("limits", "raised", "expected"),
    [
        ((1024, 1024), None, 512),
        ((256, 4096), 4096, 3072),
        ((1024, 1_000_000), connections.WANTED, connections.MOST),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, connections.MOST),
        ((256, resource.RLIM_INFINITY), connections.WANTED, connections.MOST),
    ],
)
def test_descriptors_are_asked_for_and_kept(
    limits: tuple[int, int], raised: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, to: asked.append(to[0]))
    assert available_connections() == expected
    assert asked == ([] if raised is None else [raised])


def silent(port: int, source: str, count: int) -> list[socket.socket]:
    """Connections on which nothing is sent."""
    return [socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0)) for _ in range(count)]


def test_silent_strangers_keep_nobody_out(start: Any, tmp_path: Any) -> None:
    """More of them than there may be connections, and than there are descriptors."""
    service = start("--db", tmp_path / "db", "--model", "hash", files=256)
    port = int(service.url.rsplit(":", 1)[1])
    strangers = [one for last in range(2, 8) for one in silent(port, f"127.0.0.{last}", 60)]
    try:
        for number in range(5):
            made = service.http.post(f"{service.url}/v1/collections", json={"name": f"c{number}"})
            assert made.status_code == 201, made.text
            url = f"{service.url}/v1/collections/c{number}"
            told = service.http.post(f"{url}/items", json={"items": [{"text": "a cat"}]})
            assert told.status_code == 200, told.text
            assert len(service.http.post(f"{url}/search", json={"text": "a cat"}).json()["hits"]) == 1
        told = service.http.get(f"{service.url}/metrics").text
        assert (
            float(next(line for line in told.splitlines() if line.startswith("oneword_connections ")).split()[1]) <= 128
        )
    finally:
        for one in strangers:
            one.close()


def test_one_address_leaves_the_others_their_half(start: Any, tmp_path: Any) -> None:
    service = start("--db", tmp_path / "db", "--model", "hash", "--connections", 8)
    port = int(service.url.rsplit(":", 1)[1])
    head = b"POST /v1/collections HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    busy = silent(port, "127.0.0.2", 4)
    for one in busy:
        one.sendall(head)  # and no body: it is being read
    try:
        (late,) = silent(port, "127.0.0.2", 1)
        assert b"too_many_connections" in late.recv(65536)
        late.close()
        assert service.http.get(f"{service.url}/readyz").status_code == 200
    finally:
        for one in busy:
            one.close()
