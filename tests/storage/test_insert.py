from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oneword.storage import BadItem, Collection, Item, Locked, Store
from oneword.storage.table import Table


def test_insert_is_one_commit_and_stores_what_upsert_does(collection: Collection, item: Callable[..., Item]) -> None:
    before = collection.version
    with collection.writing():
        assert collection.insert([]) == 0
        assert collection.insert(iter([item("a", text="é", thumbnail=b"x"), item("b", [0, 1, 0, 0])])) == 2
    assert collection.version == before + 1
    back = collection.get(["b", "a"], vectors=True)
    assert replace(back["a"], indexed_at=None) == item("a", text="é", thumbnail=b"x")
    assert back["a"].indexed_at is not None
    np.testing.assert_allclose(back["b"].vector, [0, 1, 0, 0])
    assert collection.upsert([item("a", text="later")]).updated == 1
    assert [hit.item.id for hit in collection.search([0, 1, 0, 0], limit=1)] == ["b"]


def test_new_metadata_gets_its_columns(collection: Collection, item: Callable[..., Item]) -> None:
    with collection.writing():
        collection.insert([item("a", metadata={"year": 2020})])
        collection.insert([item("b", metadata={"tags": ["x"], "year": 2021}), item("c")])
    assert collection.info().metadata_keys == {"year": "number", "tags": "list of strings"}
    assert collection.count("year >= 2021 and tags contains x") == 1
    assert collection.count("not exists(year)") == 1


def test_outside_a_writing_block_it_is_refused(collection: Collection, item: Callable[..., Item]) -> None:
    with pytest.raises(RuntimeError, match=r"insert of 'things' outside its writing\(\) block"):
        collection.insert([item("a")])
    with Store(collection.uri).open("things").writing(), pytest.raises(RuntimeError):  # another object's block
        collection.insert([item("a")])
    assert collection.count() == 0


def test_bad_items_and_repeated_ids_store_nothing(collection: Collection, item: Callable[..., Item]) -> None:
    with collection.writing():
        with pytest.raises(BadItem, match="'a' is given twice"):
            collection.insert([item("a"), item("b"), item("a")])
        with pytest.raises(BadItem, match="'bad' has no vector"):
            collection.insert([item("a", metadata={"new": 1}), replace(item("bad"), vector=None)])
    assert collection.count() == 0
    assert collection.info().metadata_keys == {}


def test_nothing_is_looked_up(
    collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it costs cannot grow with the table if no row of the table is read."""
    collection.upsert([item("a")])

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the table was read")

    for name in ("merge", "rows", "count", "chunks"):
        monkeypatch.setattr(Table, name, refuse)
    with collection.writing():
        assert collection.insert([item("b")]) == 1


def test_an_insert_killed_at_any_instant_leaves_whole_batches(
    collection: Collection, item: Callable[..., Item], process: Callable[..., Any]
) -> None:
    code = """
import sys
import numpy as np
from oneword.storage import Item, Store
vector = np.array([1, 0, 0, 0], np.float32)
collection = Store(sys.argv[1]).open("things")
def item(batch, n):
    fields = {"modality": "text", "uri": "u", "content_hash": "h", "metadata": {f"key{batch % 7}": batch}}
    return Item(id=f"{batch}-{n}", vector=vector, **fields)
with collection.writing():
    print("ready", flush=True)
    for batch in range(int(sys.argv[2]), 1_000_000):
        collection.insert([item(batch, n) for n in range(50)])
        print(batch, flush=True)
"""
    acknowledged: list[int] = []
    for round_number in range(3):
        child = process(code, collection.uri, round_number * 100_000)
        assert child.stdout.readline() == "ready\n"
        acknowledged.append(int(child.stdout.readline()))
        with pytest.raises(Locked):
            collection.upsert([item("x")])
        time.sleep(random.Random(round_number).uniform(0.01, 0.2))
        child.kill()  # SIGKILL
        rest, _ = child.communicate()
        acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    seen: dict[int, int] = {}
    for names in (one.id for batch in Store(collection.uri).open("things").scan() for one in batch):
        seen[int(names.split("-")[0])] = seen.get(int(names.split("-")[0]), 0) + 1
    assert set(seen.values()) == {50}
    assert set(acknowledged) <= set(seen)
    assert len(seen) <= len(acknowledged) + 3  # at most one commit a round was not yet acknowledged
    with collection.writing():
        assert collection.insert([item("after")]) == 1
