from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import Collection, Item, Locked, Store, scalar_index

WRITER = """
import sys
from oneword.storage import Store, scalar_index
collection = Store(sys.argv[1]).open("things")
print("up", flush=True)
while True:
    with collection.writing():
        table = collection._table()
        scalar_index.ensure(table, least_rows=0)
        for index in table.indexes():
            table._lance.drop_index(index.name)
"""


@pytest.fixture
def full(collection: Collection, item: Callable[..., Item]) -> Collection:
    """300 items, with metadata of every kind; a string of few values and one of many."""
    collection.upsert(
        item(
            f"i{number:03d}",
            modality="image" if number % 2 else "text",
            image_hash=f"h{number % 10}" if number % 3 else None,
            metadata={
                "few": f"v{number % 4}",
                "many": f"n{number}",
                "size": number,
                "flag": number % 5 == 0,
                "day": datetime(2024, 1, 1 + number % 28, tzinfo=UTC),
                "tags": [f"t{number % 7}", "all"],
            },
        )
        for number in range(300)
    )
    return collection


def kinds(collection: Collection) -> dict[str, str]:
    return {one.column: one.kind for one in collection._table().indexes()}


def test_a_small_collection_gets_none(full: Collection) -> None:
    before = full.version
    assert full.index_metadata() == {}
    assert full.version == before


def test_each_column_gets_its_kind_once(full: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalar_index, "MOST_BITMAPS", 100)
    monkeypatch.setattr(scalar_index.ensure, "__kwdefaults__", {"least_rows": 300})
    expected = {
        "id": "BTree",
        "content_hash": "BTree",
        "image_hash": "BTree",
        "indexed_at": "BTree",
        "modality": "Bitmap",
        "meta_few": "Bitmap",
        "meta_many": "BTree",
        "meta_size": "BTree",
        "meta_flag": "Bitmap",
        "meta_day": "BTree",
        "meta_tags": "LabelList",
    }
    assert full.index_metadata() == expected
    assert kinds(full) == {**expected, "text": "FTS"}
    before = full.version
    assert full.index_metadata() == {}
    assert full.version == before


def test_a_key_met_later_is_indexed_later(full: Collection, item: Callable[..., Item]) -> None:
    scalar_index.ensure(full._table(), least_rows=0)
    full.upsert([item("new", metadata={"late": "x", "few": "v9"})])
    assert full.count("late = x or few = v9") == 1
    assert scalar_index.ensure(full._table(), least_rows=0) == {"meta_late": "Bitmap"}
    assert full.count("late = x") == 1
    assert full.count("late != x") == 300


def test_new_rows_are_covered_when_they_are_many(
    full: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalar_index, "MOST_STALE", 5)
    scalar_index.ensure(full._table(), least_rows=0)

    def stale() -> int:
        return max(one.stale for one in full._table().indexes())

    full.upsert([item(f"a{number}", metadata={"few": "new"}) for number in range(5)])
    scalar_index.ensure(full._table(), least_rows=0)
    assert stale() == 5
    full.upsert([item("b", metadata={"few": "new"})])
    scalar_index.ensure(full._table(), least_rows=0)
    assert stale() == 0
    assert full.count("few = new") == 6


def test_an_empty_collection_and_empty_values(collection: Collection, item: Callable[..., Item]) -> None:
    scalar_index.ensure(collection._table(), least_rows=0)
    assert collection.count("modality = text") == 0
    collection.upsert([item("a", metadata={"tags": [], "s": ""}), item("b")])
    scalar_index.ensure(collection._table(), least_rows=0)
    assert collection.count("exists(tags)") == collection.count("exists(s)") == collection.count("s = ''") == 1
    assert collection.count("tags = x") == 0
    assert collection.count("tags != x") == 2


def test_upserts_stay_right_with_an_index_on_id(collection: Collection, item: Callable[..., Item]) -> None:
    """merge_insert finds rows by the index: covered ones, later ones, deleted and compacted ones."""
    choose = random.Random(0)
    model: dict[str, str] = {}
    for step in range(40):
        action = choose.choice(["upsert", "upsert", "upsert", "delete", "optimize", "index"])
        some = [f"i{choose.randrange(60)}" for _ in range(choose.randrange(1, 20))]
        if action == "upsert":
            fresh = {item_id: f"{item_id} {step}" for item_id in some}
            done = collection.upsert(item(item_id, metadata={"s": value}) for item_id, value in fresh.items())
            assert (done.added, done.updated) == (len(fresh.keys() - model), len(fresh.keys() & model.keys()))
            model |= fresh
        elif action == "delete":
            assert collection.delete(some) == len(set(some) & model.keys())
            model = {item_id: value for item_id, value in model.items() if item_id not in some}
        elif action == "optimize":
            collection.optimize()
        else:
            scalar_index.ensure(collection._table(), least_rows=0)
        assert {one.id: one.metadata["s"] for batch in collection.scan() for one in batch} == model
        assert {item_id: one.metadata["s"] for item_id, one in collection.get([*some, "i1"]).items()} == {
            item_id: model[item_id] for item_id in {*some, "i1"} & model.keys()
        }


def test_a_reader_goes_on_meanwhile(full: Collection, store: Store) -> None:
    reader, stop = store.open("things"), threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            counts = (reader.count("few = v1"), reader.count("tags = t1 and size >= 0"), reader.count("few != v1"))
            if counts != (75, 43, 225):
                wrong.append(counts)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(2):
        table = full._table()
        scalar_index.ensure(table, least_rows=0)
        full.optimize()
        for index in table.indexes():
            table._lance.drop_index(index.name)
    stop.set()
    thread.join()
    assert not wrong


def test_killed_at_any_time_nothing_is_wrong(full: Collection, process: Callable[..., Any], tmp_path: Path) -> None:
    choose = random.Random(1)
    for _ in range(2):
        child = process(WRITER, tmp_path / "db")
        assert child.stdout.readline() == "up\n"
        time.sleep(choose.uniform(0.05, 0.4))
        child.kill()
        child.wait()
        assert full.count("few = v1 and tags = all") == 75
    with full.writing():
        scalar_index.ensure(full._table(), least_rows=0)
    assert len(kinds(full).keys() - {"text"}) == 11
    assert full.count("few = v1 and tags = all") == 75


def test_only_the_writer_indexes(full: Collection, store: Store) -> None:
    with store.open("things").writing(), pytest.raises(Locked):
        full.index_metadata()
