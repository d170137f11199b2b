from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import JobNotFound, JobRecord, StorageError, Store, StoreUnavailable, journal
from oneword.storage.table import Table

MANY = """
import sys
from contextlib import nullcontext
from oneword.storage import Store, journal
from oneword.storage.lock import WriterLock
if sys.argv[2] == "hosts":  # as from several hosts, of which none sees another's lock
    WriterLock.hold = lambda self, timeout=0.0: nullcontext()
journal.COMMITS, journal.LOCK_TIMEOUT = 7, 60  # who writes without a pause is hard to get in between of
for n in range(3):
    book = Store(sys.argv[1]).journal()
    job = book.start(collection=sys.argv[3], command=f"{n}")
    for inputs in range(3):
        book.beat(job, {"inputs": inputs})
    book.finish(job, "done", {"inputs": 3})
"""


def only(store: Store) -> JobRecord:
    [job] = store.journal().list()
    return job


def test_a_job_from_start_to_end(store: Store, space: dict[str, Any]) -> None:
    book, before = store.journal(), datetime.now(UTC)
    assert book.list() == []
    assert not Path(store.uri).exists()
    job = book.start(collection="a", command="oneword index 'it''s'")
    running = only(store)
    assert (running.id, running.collection, running.command) == (job, "a", "oneword index 'it''s'")
    assert (running.state, running.counts, running.message, running.ended) == ("running", {}, "", None)
    assert (running.pid, running.started) == (os.getpid(), running.updated)
    assert before <= running.started <= datetime.now(UTC)
    book.beat(job, {"inputs": 5, "indexed": 2})
    beaten = only(store)
    assert (beaten.state, beaten.counts, beaten.started) == ("running", {"inputs": 5, "indexed": 2}, running.started)
    assert beaten.updated > running.updated
    store.journal().finish(job, "failed", {"inputs": 9, "seconds": 1.5}, "no space left")
    done = only(store)
    assert (done.state, done.counts, done.message) == ("failed", {"inputs": 9, "seconds": 1.5}, "no space left")
    assert done.ended == done.updated > beaten.updated
    assert store.collections() == []
    store.create("a", space)
    assert store.collections() == ["a"]


def test_the_newest_come_first(store: Store) -> None:
    book = store.journal()
    ids = [book.start(collection="ab"[n % 2], command=f"{n}") for n in range(6)]
    assert ids == sorted(ids)
    assert [job.id for job in book.list()] == ids[::-1]
    assert [job.id for job in book.list(2)] == [ids[5], ids[4]]
    assert [job.command for job in book.list(2, "a")] == ["4", "2"]
    assert book.list(collection="nope") == []


def test_jobs_that_are_not_there(store: Store) -> None:
    with pytest.raises(JobNotFound, match=r"no job 'nope' in the journal of .*/db"):
        store.journal().beat("nope", {})
    store.journal().start(collection="a", command="c")
    with pytest.raises(JobNotFound):
        store.journal().finish("it's", "done", {})


def test_odd_and_long_text(store: Store) -> None:
    job = store.journal().start(collection="a", command="x\udcff" + "y" * 5000)
    store.journal().finish(job, "failed", {}, "\ud800 'é'\n")
    done = only(store)
    assert (done.command[:7], len(done.command), done.command[-4:]) == (r"x\udcff"[:7], 2000, " ...")
    assert done.message == "\\ud800 'é'\n"


def test_a_killed_job_is_told_from_a_running_one(store: Store, process: Callable[..., Any]) -> None:
    code = """
import sys, time
from oneword.storage import Store
store = Store(sys.argv[1])
job = store.journal().start(collection="a", command="c")
print(job, flush=True)
for n in range(100_000):
    store.journal().beat(job, {"inputs": n})
"""
    child = process(code, store.uri)
    job = child.stdout.readline().strip()
    assert (only(store).id, only(store).state) == (job, "running")
    time.sleep(random.uniform(0, 0.2))
    child.kill()  # SIGKILL
    child.wait()
    killed = only(store)
    assert (killed.state, killed.ended) == ("killed", None)
    store.journal().finish(job, "interrupted", {}, "by hand")  # no lock is left
    assert only(store).state == "interrupted"


@pytest.mark.parametrize("how", ["host", "hosts"])
def test_many_write_at_once(store: Store, process: Callable[..., Any], how: str) -> None:
    first = store.journal().start(collection="first", command="c")
    children = [process(MANY, store.uri, how, name) for name in "abc"]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    *jobs, oldest = store.journal().list(100)
    assert oldest.id == first
    assert sorted((job.collection, job.command) for job in jobs) == [(name, f"{n}") for name in "abc" for n in range(3)]
    assert {(job.state, job.counts["inputs"]) for job in jobs} == {("done", 3)}
    assert len({job.id for job in jobs}) == 9


def test_it_does_not_grow_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMMITS", 10)
    monkeypatch.setattr(journal, "MOST_JOBS", 5)
    monkeypatch.setattr(journal, "SAFE_AGE", timedelta(milliseconds=1))
    book = store.journal()
    first = book.start(collection="a", command="still running")
    silent = book.start(collection="a", command="silent")
    for _ in range(15):
        book.finish(book.start(collection="a", command="c"), "done", {})
    table = store._database.open(journal.TABLE)
    assert table is not None
    assert len(table.versions()) < 15
    assert len(list((Path(store.uri) / "oneword.jobs.lance" / "data").iterdir())) < 25
    assert {first, silent} <= {job.id for job in book.list(100)}
    assert len(book.list(100)) <= 2 + 5 + 10
    monkeypatch.setattr(journal, "FORGOTTEN", timedelta(seconds=-60))
    book.beat(first, {})
    for _ in range(12):
        book.beat(first, {})
        if silent not in {job.id for job in book.list(100)}:
            break
    assert len(book.list(100)) <= 5 + 1


def test_conflicts_are_tried_again_and_other_failures_are_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    append, left = Table.append, [2]

    def failing(reason: str) -> Callable[..., None]:
        def fail(self: Table, rows: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise StoreUnavailable("here", "write", reason)
            append(self, rows)

        return fail

    monkeypatch.setattr(Table, "append", failing("Retryable commit conflict for version 4"))
    store.journal().start(collection="a", command="c")
    assert only(store).state == "running"
    left[0] = 100
    with pytest.raises(StoreUnavailable, match="conflict"):
        store.journal().start(collection="a", command="c")
    assert left[0] == 100 - journal.TRIES
    monkeypatch.setattr(Table, "append", failing("no space left"))
    left[0] = 1
    with pytest.raises(StoreUnavailable, match="no space left"):
        store.journal().start(collection="a", command="c")


def test_a_place_that_fails_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for call in (Store(tmp_path / "file").journal().list, lambda: Store(tmp_path / "file").journal().beat("a", {})):
        with pytest.raises(StoreUnavailable):
            call()
    with pytest.raises(StoreUnavailable):
        Store(tmp_path / "file").journal().start(collection="a", command="c")


def test_what_is_written_is_plain_json(store: Store) -> None:
    book = store.journal()
    book.finish(book.start(collection="a", command="c"), "done", {"kinds": {"decode": 2}, "inputs": 3})
    assert json.dumps(dict(only(store).counts)) == '{"kinds": {"decode": 2}, "inputs": 3}'


def test_one_job_by_its_id(store: Store) -> None:
    book = store.journal()
    with pytest.raises(JobNotFound):
        book.get(journal.new_id())
    job = journal.new_id()
    assert book.start(collection="a", command="x", id=job) == job
    later = book.start(collection="b", command="y")
    assert book.get(job) == book.list()[1]
    assert book.get(later).collection == "b"
    assert book.process(job).here
    assert job < journal.new_id()
    for name in ("nonsense", "", "x' OR 'a' = 'a"):
        with pytest.raises(JobNotFound):
            book.get(name)
        with pytest.raises(JobNotFound):
            book.process(name)


@pytest.mark.parametrize("wrong", ["", "x", "20260102T030405678901-0A1B2C3D", "20260102T030405678901-0a1b2c3d\n"])
def test_an_id_that_cannot_be(store: Store, wrong: str) -> None:
    with pytest.raises(StorageError, match="new_id"):
        store.journal().start(collection="a", command="x", id=wrong)
    assert store.journal().list() == []


def test_an_id_is_one_jobs(store: Store) -> None:
    job = store.journal().start(collection="a", command="x", id=journal.new_id())
    with pytest.raises(StorageError, match="already"):
        store.journal().start(collection="a", command="x", id=job)
    assert only(store).id == job
