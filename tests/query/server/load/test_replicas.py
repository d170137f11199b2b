"""Two services over one store, or two processes of one: each serves what the other has acknowledged. One of two is
killed."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

CLIENTS = {"writer": 4, "checker": 4, "reader": 2, "pager": 2}
"""Of each kind half ask one replica, and half the other."""


@pytest.fixture(scope="module")
def db(make_store: Any) -> Path:
    return Path(make_store())


@pytest.fixture(scope="module")
def replicas(start: Any, db: Path) -> list[Any]:
    both = [start("--db", db, ready=False) for _ in range(2)]
    for one in both:
        one.wait_ready()
    return both


def test_two_replicas_and_one_is_killed(replicas: list[Any], generate: Any, db: Path, check_store: Any) -> None:
    first, second = replicas
    both = generate([first.url, second.url], "both", CLIENTS, seconds=3).wait()
    assert not both["wrong"], both["details"]
    assert not both["ends"]
    assert set(both["statuses"]) <= {"200", "204", "503"}
    assert set(both["codes"]) <= {"collection_busy"}
    assert len(both["answered"]) == 12
    assert both["alive"]
    check_store(db, [both])

    lives = generate([first.url], "lives", {"writer": 3, "checker": 1, "reader": 1})
    dies = generate([second.url], "dies", {"writer": 3, "checker": 1, "reader": 1})
    time.sleep(1.5)
    killed = time.monotonic()
    assert second.stop(signal.SIGKILL) == -signal.SIGKILL
    broken = dies.wait()
    time.sleep(0.5)
    whole = lives.stop()
    assert not whole["wrong"], whole["details"]
    assert not whole["ends"]
    assert set(whole["codes"]) <= {"collection_busy"}
    assert set(broken["wrong"]) <= {"dropped without an answer"}, broken["details"]
    assert broken["first_lost"] > killed
    assert broken["ends"]["refused"] == 5
    check_store(db, [both, whole, broken])


def test_two_workers(start: Any, make_store: Any, generate: Any, check_store: Any) -> None:
    db = make_store()
    service = start("--db", db, "--workers", 2)
    report = generate([service.url], "workers", CLIENTS, seconds=3).wait()
    assert not report["wrong"], report["details"]
    assert not report["ends"]
    assert set(report["statuses"]) <= {"200", "204", "503"}
    assert set(report["codes"]) <= {"collection_busy"}
    assert len(report["answered"]) == 12
    assert report["alive"]
    assert service.stop() == 0, service.log[-10:]
    check_store(db, [report])
