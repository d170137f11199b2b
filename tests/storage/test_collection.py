from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from oneword.storage import Collection, FilterError, Item, Match, Refused, Store, UpsertCount


def test_upsert_counts_and_replaces(collection: Collection, item: Callable[..., Item]) -> None:
    assert collection.upsert([]) == UpsertCount(added=0, updated=0)
    assert collection.upsert([item("a", text="1"), item("b")]) == UpsertCount(added=2, updated=0)
    assert collection.upsert(iter([item("a", text="2"), item("c")])) == UpsertCount(added=1, updated=1)
    assert collection.count() == 3
    assert collection.get(["a"])["a"].text == "2"


def test_of_one_id_twice_the_last_wins(collection: Collection, item: Callable[..., Item]) -> None:
    assert collection.upsert([item("a", text="1"), item("a", text="2")]) == UpsertCount(added=1, updated=0)
    assert collection.get(["a"])["a"].text == "2"


def test_an_upsert_is_one_commit(collection: Collection, item: Callable[..., Item]) -> None:
    before = collection.version
    collection.upsert([item(f"{n}") for n in range(2500)])
    assert collection.version == before + 1


def test_indexed_at_is_filled_in(collection: Collection, item: Callable[..., Item]) -> None:
    before = datetime.now(UTC)
    collection.upsert([item("a")])
    at = collection.get(["a"])["a"].indexed_at
    assert at is not None
    assert before <= at <= datetime.now(UTC)


def test_delete(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item(name) for name in ("a", "b", "it's", "c")])
    assert collection.delete([]) == 0
    assert collection.delete(["a", "a", "it's", "nope", "\ud800", "' OR true --"]) == 2
    assert collection.delete_where(Match("id", "b")) == 1
    assert collection.delete_where("id = b") == 0
    assert list(collection.get(["a", "b", "c"])) == ["c"]
    with pytest.raises(FilterError):
        collection.delete_where("nonsense = 1")


def test_get_thousands_in_the_order_asked(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item(f"{n}") for n in range(4500)])
    wanted = [f"{n}" for n in reversed(range(5000))]
    assert list(collection.get(wanted)) == wanted[500:]
    assert collection.get([]) == {}
    assert len(collection.content_hashes(wanted)) == 4500
    assert collection.delete(wanted) == 4500


def test_content_hashes_and_vectors_by_hash(collection: Collection, item: Callable[..., Item]) -> None:
    same = {"content_hash": "same"}
    collection.upsert([item("a", [1, 1, 0, 0], **same), item("b", [1, 1, 0, 0], **same), item("c", [0, 0, 1, 0])])
    assert collection.content_hashes(["a", "c", "nope"]) == {"a": "same", "c": "hash of c"}
    vectors = collection.vectors_by_hash(["same", "nope"])
    assert list(vectors) == ["same"]
    assert vectors["same"].dtype == np.float32
    np.testing.assert_allclose(vectors["same"], [0.5**0.5, 0.5**0.5, 0, 0], atol=1e-3)


def test_scan(collection: Collection, item: Callable[..., Item]) -> None:
    assert list(collection.scan()) == []
    for start in range(0, 30, 10):
        collection.upsert([item(f"{n}", metadata={"n": n}) for n in range(start, start + 10)])
    batches = list(collection.scan(filter="n >= 5", batch_size=4))
    assert max(len(batch) for batch in batches) <= 4
    assert sorted(int(one.id) for batch in batches for one in batch) == list(range(5, 30))


def test_scan_keeps_to_one_version(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item(f"{n}") for n in range(100)])
    scan = collection.scan(batch_size=10)
    seen = len(next(scan))
    collection.upsert([item(f"new{n}") for n in range(100)])
    collection.delete([f"{n}" for n in range(100)])
    assert seen + sum(len(batch) for batch in scan) == 100


def test_optimize_keeps_the_rows(collection: Collection, item: Callable[..., Item]) -> None:
    for n in range(30):
        collection.upsert([item(f"{n}", text=str(n))])
    collection.delete(["3"])
    collection.optimize()
    assert {one.id: one.text for batch in collection.scan() for one in batch} == {
        str(n): str(n) for n in range(30) if n != 3
    }


def test_info(collection: Collection, store: Store, space: dict[str, Any], item: Callable[..., Item]) -> None:
    empty = collection.info()
    assert (empty.items, empty.by_modality, empty.metadata_keys, empty.quarantined) == (0, {}, {}, 0)
    collection.upsert([item("a"), item("b", modality="image", metadata={"year": 1, "tags": ["x"]})])
    now = datetime.now(UTC)
    store.quarantine("things").record([Refused(uri="u", reason="r", kind="k", at=now)])
    info = collection.info()
    assert (info.name, info.items, info.by_modality) == ("things", 2, {"image": 1, "text": 1})
    assert (info.space, info.dimension, info.version) == (space, 4, collection.version)
    assert info.metadata_keys == {"year": "number", "tags": "list of strings"}
    assert info.quarantined == 1
    assert info.bytes_on_disk is not None
    assert info.bytes_on_disk > 1000
    assert info.created == collection.created <= info.updated
    assert abs((now - info.updated).total_seconds()) < 60
