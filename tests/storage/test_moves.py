"""Renames, switches and copies, also those that are killed half way."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import (
    BadName,
    Collection,
    CollectionExists,
    CollectionNotFound,
    Item,
    Locked,
    Refused,
    SpaceMismatch,
    StorageError,
    Store,
    StoreUnavailable,
    moves,
)


class Killed(BaseException):
    """As good as SIGKILL for code that cleans nothing up: only locks are let go."""


@pytest.fixture
def filled(store: Store, collection: Collection, item: Callable[..., Item]) -> Collection:
    """`things` with three items, a metadata key, an entry in quarantine, an ANN index and a tag."""
    collection.upsert([item(f"{n}", [n, 1, 0, 0], metadata={"n": n}, thumbnail=b"\0x") for n in range(3)])
    refuse(store, "things", "bad")
    collection.build_index()
    collection.tag("first")
    return collection


def refuse(store: Store, name: str, uri: str) -> None:
    store.quarantine(name).record([Refused(uri=uri, reason="r", kind="k", at=datetime.now(UTC))])


def quarantined(store: Store, name: str) -> list[str]:
    return [one.uri for one in store.quarantine(name).list()]


def contents(collection: Collection) -> dict[str, tuple[Item, bytes]]:
    items = (one for batch in collection.scan(vectors=True) for one in batch)
    return {one.id: (one, np.asarray(one.vector).tobytes()) for one in items}


def test_a_rename_takes_everything_along(store: Store, filled: Collection) -> None:
    before = contents(filled)
    renamed = store.rename("things", "stuff")
    assert (renamed.name, renamed.created, contents(renamed)) == ("stuff", filled.created, before)
    assert store.collections() == ["stuff"]
    assert quarantined(store, "stuff") == ["bad"]
    assert renamed.index_info() is not None
    assert renamed.tags() == {"first": 4}
    left = {path.name for path in Path(store.uri).iterdir() if path.name.startswith("things")}
    assert all(name.endswith(".lock") for name in left)
    with pytest.raises(CollectionNotFound, match="things"):
        filled.count()
    with pytest.raises(CollectionNotFound, match="things"):
        filled.upsert([before["0"][0]])
    with pytest.raises(CollectionNotFound, match="stuff"):
        store.rename("things", "other")
    assert renamed.upsert([Item(**{**vars(before["0"][0]), "id": "new"})]).added == 1


def test_a_rename_onto_what_is_there_is_refused(store: Store, filled: Collection, space: dict[str, Any]) -> None:
    store.create("other", space)
    for name in ("other", "things"):
        with pytest.raises(CollectionExists, match=name):
            store.rename("things", name)
        with pytest.raises(CollectionExists, match=name):
            store.copy("things", name)
    with pytest.raises(BadName):
        store.rename("things", "No!")
    with pytest.raises(CollectionNotFound):
        store.copy("nothing", "new")
    assert store.collections() == ["other", "things"]


def test_neither_end_of_a_rename_may_be_written(store: Store, filled: Collection, space: dict[str, Any]) -> None:
    with filled.writing(), pytest.raises(Locked, match="things"):
        store.rename("things", "stuff")
    with store.create("stuff", space).writing():
        shutil.rmtree(Path(store.uri) / "stuff.lance")
        with pytest.raises(Locked, match="stuff"):
            store.rename("things", "stuff")
    assert store.rename("things", "stuff").count() == 3


def test_an_object_store_says_what_to_do(space: dict[str, Any], collection: Collection) -> None:
    with pytest.raises(StorageError, match=r"s3://bucket/db.*by its own name"):
        Store("s3://bucket/db").replace(collection, collection, keep="old")


def killed(monkeypatch: pytest.MonkeyPatch, die_at: int, work: Callable[[], object]) -> bool:
    """Whether the process died before its `die_at`th change to the disk, as it did the work."""
    done = 0

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == die_at:
                raise Killed
            return change(*args, **options)

        return step

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
        try:
            work()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("then", ["rename", "open the new", "open the old", "list", "create the old"])
def test_a_rename_killed_at_any_step_is_finished_by_the_next_look(
    store: Store, filled: Collection, space: dict[str, Any], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    before, died = contents(filled), 0
    for die_at in range(1, 100):
        completed = not killed(monkeypatch, die_at, lambda: store.rename("things", "stuff"))
        names = [name for name in ("things", "stuff") if (Path(store.uri) / f"{name}.lance").is_dir()]
        assert len(names) == 1, "one of the two names, before anything is repaired"
        if completed:
            break
        died += 1
        again = Store(store.uri)  # another process
        match then:
            case "rename":
                assert contents(again.rename("things", "stuff")) == before
            case "open the new":
                if names == ["stuff"]:
                    again.open("stuff")
            case "open the old":
                if not list(Path(store.uri).glob("*.moving")):
                    again.open("things")
                else:
                    with pytest.raises(CollectionNotFound, match="stuff"):
                        again.open("things")
            case "list":
                again.collections()
            case "create the old":
                if list(Path(store.uri).glob("*.moving")):
                    assert again.create("things", space).count() == 0
                    refuse(again, "things", "its own")
                    assert quarantined(again, "things") == ["its own"]
                    again.drop("things")
        (name,) = again.collections()
        assert contents(again.open(name)) == before
        assert quarantined(again, name) == ["bad"]
        assert again.open(name).index_info() is not None
        assert not list(Path(store.uri).glob("*.moving"))
        if name == "stuff":
            again.rename("stuff", "things")
    assert died >= 6


@pytest.mark.parametrize("drop", [False, True])
def test_a_switch_killed_at_any_step_is_finished_by_the_next_open(
    store: Store,
    filled: Collection,
    space: dict[str, Any],
    item: Callable[..., Item],
    monkeypatch: pytest.MonkeyPatch,
    drop: bool,
) -> None:
    other = {**space, "fingerprint": "0" * 40}
    before, died = contents(filled), 0
    for die_at in range(1, 100):
        new = store.create("new", other)
        new.upsert([item("x")])
        refuse(store, "new", "worse")
        old = store.open("things")
        completed = not killed(monkeypatch, die_at, partial(store.replace, old, new, keep="kept", drop=drop))
        died += not completed
        again = Store(store.uri)
        here = again.open("things")
        if here.space == space:  # not begun
            assert not completed
            assert (contents(here), quarantined(again, "things")) == (before, ["bad"])
            again.drop("new")
            continue
        assert (list(contents(here)), quarantined(again, "things")) == (["x"], ["worse"])
        assert again.collections() == (["things"] if drop else ["kept", "things"])
        with pytest.raises(SpaceMismatch):
            old.count()
        if drop:
            assert not list(Path(store.uri).glob("kept.lance"))
            again.drop("things")
            again.create("things", space).upsert([one for one, _ in before.values()])
            refuse(again, "things", "bad")
        else:
            assert (contents(again.open("kept")), quarantined(again, "kept")) == (before, ["bad"])
            again.drop("things")
            again.rename("kept", "things")
        if completed:
            break
    assert died >= 8


def test_a_drop_killed_at_any_step_is_finished_by_the_next_open(
    store: Store, filled: Collection, space: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.rename("things", "kept")
    before, died = contents(store.open("kept")), 0
    for die_at in range(1, 100):
        store.copy("kept", "things")
        if not killed(monkeypatch, die_at, lambda: store.drop("things")):
            break
        died += 1
        if list(Path(store.uri).glob("*.moving")):
            for file in sorted((Path(store.uri) / "things.lance" / "data").glob("*"))[:1]:
                file.unlink()  # as a removal killed half way leaves it
            with pytest.raises(CollectionNotFound, match="kept"):
                Store(store.uri).open("things")
            assert quarantined(store, "things") == []
        else:
            assert contents(store.open("things")) == before
            store.drop("things")
    assert died >= 4
    assert contents(store.open("kept")) == before


def test_a_name_that_was_taken_before_a_killed_rename_was_finished_stays_whose_it_is(
    store: Store, filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(filled)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(moves, "_rename", die)
        with pytest.raises(Killed):
            store.rename("things", "stuff")
    store._database.create("stuff", filled.schema())
    again = Store(store.uri)
    assert again.collections() == ["stuff", "things"]
    assert (contents(again.open("things")), quarantined(again, "things")) == (before, ["bad"])
    assert again.open("stuff").count() == 0
    assert not list(Path(store.uri).glob("*.moving"))


def test_what_cannot_be_moved_says_so(store: Store, filled: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(moves, "_rename", refuse)
        with pytest.raises(StoreUnavailable, match=r"move or drop 'things'.*Permission denied"):
            store.rename("things", "stuff")
        assert Store(store.uri).open("things").count() == 3, "who only reads is not kept from it"
    assert Store(store.uri).open("stuff").count() == 3


def test_a_rename_killed_for_real_leaves_one_name(
    store: Store, filled: Collection, process: Callable[..., Any]
) -> None:
    code = """
import sys
from oneword.storage import Store
store = Store(sys.argv[1])
print("ready", flush=True)
while True:
    (name,) = store.collections()
    store.rename(name, "stuff" if name == "things" else "things")
"""
    before = contents(filled)
    for round_number in range(2):
        child = process(code, store.uri)
        assert child.stdout.readline() == "ready\n"
        time.sleep(random.Random(round_number).uniform(0.1, 0.4))
        child.kill()
        child.wait()
        (name,) = store.collections()
        assert contents(store.open(name)) == before
        assert quarantined(store, name) == ["bad"]


def test_who_needs_a_name_waits_for_its_move(store: Store, filled: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    half, go = threading.Event(), threading.Event()
    rename = moves._rename

    def slow(source: Path, target: Path) -> None:
        rename(source, target)
        if target.name == "stuff.lance":
            half.set()
            assert go.wait(30)

    monkeypatch.setattr(moves, "_rename", slow)
    mover = threading.Thread(target=store.rename, args=("things", "stuff"))
    mover.start()
    assert half.wait(30)
    assert Store(store.uri).collections() == ["stuff"], "who needs neither name does not wait"
    opened: list[Collection] = []
    opener = threading.Thread(target=lambda: opened.append(Store(store.uri).open("stuff")))
    opener.start()
    go.set()
    mover.join()
    opener.join()
    assert opened[0].count() == 3


def test_a_copy_is_whole_and_independent(store: Store, filled: Collection, item: Callable[..., Item]) -> None:
    filled.delete(["1"])
    copy = store.copy("things", "copy")
    assert contents(copy) == contents(filled)
    assert (copy.space, copy.info().metadata_keys) == (filled.space, {"n": "number"})
    assert copy.created > filled.created
    assert copy.count("n = 2") == 1
    assert quarantined(store, "copy") == ["bad"]
    filled.delete(["0"])
    copy.upsert([item("only here")])
    assert sorted(contents(copy)) == ["0", "2", "only here"]
    store.drop("things")
    assert sorted(contents(store.open("copy"))) == ["0", "2", "only here"]
    assert len(copy.search([1, 0, 0, 0])) == 3


def test_a_copy_is_streamed(
    store: Store, collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([item(f"{n}", [n, 1, 0, 0]) for n in range(50)])
    monkeypatch.setattr(moves, "ROWS", 8)
    rows, sizes = moves._rows, []

    def watched(*args: Any) -> Iterator[Any]:
        for batch in rows(*args):
            sizes.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(moves, "_rows", watched)
    assert contents(store.copy("things", "copy")) == contents(collection)
    assert max(sizes) <= 8


def test_a_copy_that_fails_or_dies_leaves_no_collection_and_can_be_done_again(
    store: Store, filled: Collection, space: dict[str, Any], process: Callable[..., Any]
) -> None:
    code = """
import os, signal, sys
from oneword.storage import Store, moves
rows = moves._rows
def dying(table, schema):
    yield from rows(table, schema)
    if "quarantine" not in table.name:
        os.kill(os.getpid(), signal.SIGKILL)
moves._rows = dying
Store(sys.argv[1]).copy("things", "copy")
"""
    child = process(code, store.uri)
    assert child.wait(60) == -9
    assert store.collections() == ["things"]
    with pytest.raises(CollectionNotFound):
        store.open("copy")
    assert (Path(store.uri) / "copy.quarantine.lance").is_dir()
    shutil.copytree(store.uri, f"{store.uri}2")
    other = Store(f"{store.uri}2")
    other.create("copy", space)
    assert quarantined(other, "copy") == [], "not what the dead copy left"
    assert contents(store.copy("things", "copy")) == contents(filled)
    assert quarantined(store, "copy") == ["bad"]


def test_what_goes_wrong_while_copying_keeps_its_name(
    store: Store, filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Iterator[Any]:
        raise CollectionNotFound("things", store.uri)
        yield

    store.quarantine("things").release(["bad"])
    monkeypatch.setattr(moves, "_rows", gone)
    with pytest.raises(CollectionNotFound):
        store.copy("things", "copy")
    assert store.collections() == ["things"]
