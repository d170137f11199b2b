"""A real service under load from another process: no wrong answer, no lost write, nobody who waits in vain."""

import json
import signal
import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

MIXES = {
    1: {"writer": 1},
    8: {"reader": 3, "writer": 2, "pager": 1, "scroller": 1, "checker": 1},
    64: {"reader": 30, "writer": 20, "pager": 6, "scroller": 2, "checker": 6},
}
"""Clients of each kind, by how many there are in all."""

HELD = 7.0  # seconds that another process keeps the lock: longer than a write waits for it


@pytest.fixture(scope="module")
def db(make_store: Callable[[], Path]) -> Path:
    return make_store()


@pytest.fixture(scope="module")
def service(start: Any, db: Path) -> Any:
    return start("--db", db, "--drain", "1")


@pytest.fixture(scope="module")
def reports() -> list[Any]:
    """Of all load on the store so far."""
    return []


@pytest.mark.parametrize("clients", MIXES)
def test_reads_and_writes(clients: int, service: Any, generate: Any, db: Path, check_store: Any, reports: Any) -> None:
    report = generate([service.url], f"mix{clients}", MIXES[clients], seconds=2).wait()
    reports.append(report)
    assert not report["wrong"], report["details"]
    assert not report["ends"]
    assert set(report["statuses"]) <= {"200", "204"}, (report["codes"], service.log[-20:])
    assert len(report["answered"]) == clients, "a client was never answered"
    assert report["alive"]
    check_store(db, reports)


def test_build_reload_another_writer_and_sigterm(
    service: Any, generate: Any, other_writer: Any, db: Path, check_store: Any, reports: Any
) -> None:
    built = service.get("/collections/default").json()["index"]["version"]
    other = other_writer(db, "other", HELD)
    load = generate([service.url], "events", {"reader": 6, "writer": 6, "pager": 2, "scroller": 1, "checker": 1})
    time.sleep(0.5)
    assert service.post("/collections/default/build").json() == {"building": True}
    service.process.send_signal(signal.SIGHUP)
    written, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    assert service.get("/collections/default").json()["index"]["version"] > built, service.log[-20:]
    service.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert load.process.poll() is None
    signalled = time.monotonic()
    assert service.stop() == 0, service.log[-20:]
    report = load.wait()
    assert not report["wrong"], report["details"]
    assert set(report["statuses"]) <= {"200", "204", "503"}
    assert set(report["codes"]) == {"collection_busy"}, report["codes"]
    assert report["first_lost"] > signalled
    assert report["ends"].pop("refused") == 16, "a client ended otherwise"
    assert set(report["ends"]) <= {"reset on a new connection"}
    check_store(db, [*reports, report], json.loads(written))


def test_what_is_on_its_way_at_the_end_is_answered(start: Any, db: Path) -> None:
    """On a connection that was made before the door was closed: one that is kept, and one that is new."""
    service = start("--db", db, "--drain", "0")
    address = urlsplit(service.url)
    kept, new = HTTPConnection(address.netloc), HTTPConnection(address.netloc)
    new.connect()
    kept.request("GET", "/livez")  # answered after `new` was accepted: in the order of arrival
    assert kept.getresponse().read()
    service.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection((address.hostname, address.port)).close()
        except ConnectionError:
            break
        time.sleep(0.02)  # the door is not closed while somebody knocks
    for one in (kept, new):
        one.request("POST", "/v1/collections/default/items:count", "{}", {"Content-Type": "application/json"})
    for one in (kept, new):
        answer = one.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        assert json.loads(answer.read())["count"] >= 2000
    assert service.process.wait(30) == 0
