"""Signals: what a real service does when it is told to end, to reload, or is killed."""

import http.client
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from oneword import query
from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.storage import Store
from tests import forkserver

SPACE = HashEncoder().space(DEFAULT).as_dict()

SLOW = """
import time
from oneword.engine import hashing
features = hashing._features
def slow(one):
    time.sleep(1 if "slow" in getattr(one, "text", "") else 0)
    return features(one)
hashing._features = slow
"""


@pytest.fixture
def db(tmp_path: Path) -> Path:
    Store(str(tmp_path / "db")).create("notes", SPACE)
    return tmp_path / "db"


def test_what_was_begun_is_answered_before_the_end(start: Any, db: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW, encoding="utf-8")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(query.__file__).parents[2])])}
    service = start("--db", db, "--drain", "0.5", env=env)  # the last --drain counts
    told: list[httpx.Response] = []

    def ask() -> None:
        told.append(httpx.post(f"{service.url}/v1/collections/notes/items", json={"items": [{"text": "slow"}]}))

    idle = http.client.HTTPConnection(urlsplit(service.url).netloc)  # a connection that is kept open
    idle.request("GET", "/readyz")
    first = idle.getresponse()
    assert first.getheader("connection") is None
    first.read()
    asking = threading.Thread(target=ask)
    asking.start()
    until_busy(service)
    service.process.send_signal(signal.SIGTERM)
    draining = None
    while draining is None or draining.status == 200:
        idle.request("GET", "/readyz")
        draining = idle.getresponse()
        text = draining.read()
    assert draining.status == 503
    assert b"shutting down" in text
    assert draining.getheader("connection") == "close"
    assert service.process.wait(20) == 0
    asking.join(20)
    assert told[0].status_code == 200
    idle.close()
    assert Store(str(db)).open("notes").count() == 1
    assert not [line for line in service.log if '"level": "error"' in line and "not_ready" not in line]


def until_busy(service: Any) -> None:
    while "oneword_requests_in_progress 1.0" not in service.http.get(f"{service.url}/metrics").text:
        time.sleep(0.01)


def test_interrupted_from_the_keyboard(start: Any, db: Path) -> None:
    service = start("--db", db)
    assert service.stop(signal.SIGINT) == 0
    assert "Traceback" not in "\n".join(service.log)


def test_a_reload_opens_collections_anew(start: Any, db: Path) -> None:
    service = start("--db", db)
    assert service.post("/collections/notes/items", {"items": [{"id": "a", "text": "a cat"}]}).status_code == 200
    stop, failed = threading.Event(), []

    def searching() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                answer = client.post(f"{service.url}/v1/collections/notes/search", json={"text": "a cat"})
                if answer.status_code != 200 or [hit["id"] for hit in answer.json()["hits"]] != ["a"]:
                    failed.append(answer.text)

    threads = [threading.Thread(target=searching) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(3):
        service.process.send_signal(signal.SIGHUP)
        while sum("reloading" in line for line in service.log) <= n:
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert service.stop() == 0


def test_a_collection_made_again_elsewhere_is_served_as_it_is_now(start: Any, db: Path) -> None:
    service = start("--db", db)
    assert service.post("/collections/notes/items", {"items": [{"id": "a", "text": "a cat"}]}).status_code == 200
    store = Store(str(db))
    store.drop("notes")
    gone = service.get("/collections/notes/items/a")
    assert (gone.status_code, gone.json()["code"]) == (404, "collection_not_found")
    store.create("notes", {**SPACE, "revision": "2", "fingerprint": "another"})
    service.get("/collections/notes/items/a")
    missing = service.get("/collections/notes/items/a")
    assert (missing.status_code, missing.json()["code"]) == (404, "item_not_found")
    wrong = service.post("/collections/notes/search", {"text": "a cat"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "space_mismatch")


def test_acknowledged_writes_survive_a_kill(start: Any, db: Path) -> None:
    service = start("--db", db)
    kept: set[str] = set()
    writers = 4

    def writing(who: int) -> None:
        with httpx.Client() as client:
            for n in range(10_000):
                items = [{"id": f"{who}-{n}", "text": f"text {n}"}]
                try:
                    answer = client.post(f"{service.url}/v1/collections/notes/items", json={"items": items})
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                kept.add(f"{who}-{n}")

    threads = [threading.Thread(target=writing, args=(who,)) for who in range(writers)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    while len(kept) < 120 and time.monotonic() < end:
        time.sleep(0.01)
    service.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(kept) >= 120
    stored = {one for batch in Store(str(db)).open("notes").ids() for one in batch}
    assert kept <= stored
    assert len(stored - kept) <= writers, "no more than were in hand"
    assert service_again(start, db) == len(stored)


def service_again(start: Any, db: Path) -> int:
    service = start("--db", db)
    assert service.post("/collections/notes/items", {"items": [{"id": "after", "text": "after"}]}).status_code == 200
    return int(service.post("/collections/notes/items:count").json()["count"]) - 1


def test_a_port_that_is_taken(start: Any, db: Path) -> None:
    port = urlsplit(start("--db", db).url).port
    ended = forkserver.run(["-m", "oneword", "serve", "--db", db, "--port", port], timeout=60)
    assert ended.returncode not in (0, None)
    assert "address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr
