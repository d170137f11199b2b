from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import Collection, Item, Locked, Store, StoreUnavailable
from oneword.storage.lock import WriterLock

HOLD = """
import sys, time
from oneword.storage import Store
with Store(sys.argv[1]).open("things").writing():
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
time.sleep(60)
"""


def test_another_process_is_kept_out_and_named(
    collection: Collection, item: Callable[..., Item], process: Callable[..., Any]
) -> None:
    child = process(HOLD, collection.uri)
    assert child.stdout.readline() == "held\n"
    with pytest.raises(Locked, match=f"process {child.pid} on .* since 20") as caught:
        collection.upsert([item("a")])
    assert caught.value.holder["pid"] == child.pid
    for write in (
        lambda: collection.delete(["a"]),
        collection.optimize,
        lambda: collection.delete_where("id = a"),
    ):
        with pytest.raises(Locked):
            write()
    assert collection.count() == 0  # reading needs no lock
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "released\n"
    assert collection.upsert([item("a")]).added == 1


def test_a_killed_holder_does_not_block(
    collection: Collection, item: Callable[..., Item], process: Callable[..., Any]
) -> None:
    child = process(HOLD, collection.uri)
    assert child.stdout.readline() == "held\n"
    child.kill()  # SIGKILL
    child.wait()
    assert collection.upsert([item("a")]).added == 1


def test_reentrant_in_one_object_and_exclusive_between_two(
    collection: Collection, store: Store, item: Callable[..., Item]
) -> None:
    with collection.writing():
        with collection.writing():
            collection.upsert([item("a")])
        with pytest.raises(Locked, match=f"process {os.getpid()}"):
            store.open("things").upsert([item("b")])
    assert store.open("things").upsert([item("b")]).added == 1


def test_released_after_an_error(collection: Collection, store: Store, item: Callable[..., Item]) -> None:
    with pytest.raises(ZeroDivisionError), collection.writing():
        _ = 1 / 0
    assert store.open("things").upsert([item("b")]).added == 1


def test_a_timeout_waits(collection: Collection, item: Callable[..., Item]) -> None:
    patient = Store(collection.uri, lock_timeout=10).open("things")
    entered = threading.Event()

    def hold() -> None:
        with collection.writing():
            entered.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    assert patient.upsert([item("a")]).added == 1
    thread.join()
    with collection.writing(), pytest.raises(Locked), patient.writing(lock_timeout=0):
        pass


def test_threads_that_share_a_collection_write_in_turn(collection: Collection, item: Callable[..., Item]) -> None:
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for n in range(5):
                collection.upsert([item(f"{name}{n}")])
        except BaseException as error:
            failures.append(error)

    with collection.writing():
        threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert collection.count() == 15


def test_the_file_says_who_and_a_garbled_one_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "x.lock"
    with WriterLock(file, "x").hold():
        assert set(json.loads(file.read_text())) == {"pid", "host", "since", "command"}
        for garbled in ("", "{", "[1]"):
            file.write_text(garbled)
            with pytest.raises(Locked, match="another process"), WriterLock(file, "x").hold():
                pass


def test_a_lock_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable), WriterLock(tmp_path / "file" / "x.lock", "x").hold():
        pass
