"""A version that a job reads at while it writes: it stays, and says what there was when the job began."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import Collection, Item, Locked, Store, VersionNotFound, scalar_index
from oneword.storage.database import Database
from oneword.storage.table import Table

NOW = timedelta(milliseconds=1)


def ids(collection: Collection, version: int | None = None) -> list[str]:
    return sorted(name for batch in collection.ids(version=version) for name in batch)


def test_what_is_read_at_a_pinned_version_is_what_there_was(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", text="old", metadata={"year": 1}), item("b", [0, 1, 0, 0])])
    with collection.pinned() as version:
        for n in range(8):  # more than the snapshots that stay open anyway
            collection.insert([item(f"new{n}", metadata={f"key{n}": n})])
            collection.upsert([item("a", [1, n, 0, 0], text="new", content_hash=f"h{n}")])
            collection.delete(["b"])
            if n % 3 == 0:
                collection.optimize(NOW)
            elif n % 3 == 1:
                collection.sweep()
            assert ids(collection, version) == ["a", "b"]
            assert collection.content_hashes(["a", "b", "new0"], version=version) == {
                "a": "hash of a",
                "b": "hash of b",
            }
            assert collection.get(["new0", "b", "a"], version=version)["a"].text == "old"
            assert collection.get(["a"], version=version)["a"].metadata == {"year": 1}
            vectors = collection.vectors_by_hash(["hash of b", f"h{n}"], version=version)
            assert list(vectors) == ["hash of b"]
            np.testing.assert_array_equal(vectors["hash of b"], np.array([0, 1, 0, 0], np.float32))
    assert ids(collection) == ["a", *(f"new{n}" for n in range(8))]
    assert list(collection.vectors_by_hash(["hash of b", "h7"])) == ["h7"]


def test_what_is_never_committed_is_swept(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("first")])
    collection.tag("kept")
    collection.upsert([item("second")])
    folder = Path(collection.uri) / "things.lance" / "data"
    orphans = [folder / "abandoned.lance", folder / ".tmpX1y2Z3"]  # as a kill leaves them, at times
    for file in orphans:
        file.write_bytes(next(folder.glob("*.lance")).read_bytes())
    collection.optimize(NOW)
    assert orphans[0].exists(), "it may be of a writer that has not committed yet"
    collection.sweep()
    assert not any(file.exists() for file in orphans)
    assert ids(collection) == ["first", "second"]
    collection.restore("kept")
    assert ids(collection) == ["first"]


def test_a_pinned_version_outlives_cleanups_and_goes_after_them(
    collection: Collection, item: Callable[..., Item]
) -> None:
    collection.upsert([item("a")])
    collection.upsert([item("b")])
    collection.tag("kept", 3)
    with collection.pinned() as version, collection.pinned() as same:
        assert same == version == 4
        collection.upsert([item("c")])
        collection.compact(NOW)
        kept = [one.version for one in collection.versions()]
        assert {3, version} < set(kept)
        with collection.pinned() as later:
            assert later > version
            collection.optimize(NOW)
        fresh = Store(collection.uri).open("things")  # nothing held open there
        assert ids(fresh, version) == ["a", "b"]
    collection.compact(NOW)
    assert version not in [one.version for one in collection.versions()]
    assert ids(collection, 3) == ["a"]
    with pytest.raises(VersionNotFound):
        collection.content_hashes(["a"], version=version)


def test_its_indexes_outlive_cleanups_too(
    collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalar_index.ensure, "__kwdefaults__", {"least_rows": 100})
    collection.upsert([item(f"{n}") for n in range(300)])
    collection.index_metadata()
    with collection.pinned() as version:
        for n in range(3):
            collection.upsert([item(f"{n}", content_hash="new") for n in range(100)])
            collection.delete([f"{200 + n}"])
            collection.optimize(NOW)
            collection.index_metadata()
        table = collection.snapshot(version).table
        assert {"id", "content_hash"} <= {one.column for one in table.indexes() if one.stale == 0}
        assert len(collection.vectors_by_hash([f"hash of {n}" for n in range(300)], version=version)) == 300
        assert len(collection.get([f"{n}" for n in range(300)], version=version)) == 300
    assert len(collection.vectors_by_hash([f"hash of {n}" for n in range(300)])) == 197


def test_reading_at_it_opens_nothing(
    collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it costs cannot grow with what is written meanwhile if only the one table opened before is read."""
    collection.upsert([item("a")])
    with collection.pinned() as version:
        pinned = collection.snapshot(version).table
        collection.insert([item("b")])
        read: list[Table] = []
        rows = Table.rows

        def watched(self: Table, *args: Any, **options: Any) -> Any:
            read.append(self)
            return rows(self, *args, **options)

        def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError("opened, or asked for its newest version")

        monkeypatch.setattr(Table, "rows", watched)
        for owner, name in ((Database, "open"), (Table, "version"), (Table, "schema")):
            monkeypatch.setattr(owner, name, refuse)
        assert list(collection.get(["a", "b"], version=version)) == ["a"]
        assert list(collection.content_hashes(["a", "b"], version=version)) == ["a"]
        assert list(collection.vectors_by_hash(["hash of a", "hash of b"], version=version)) == ["hash of a"]
        assert list(collection.ids(version=version)) == [["a"]]
        assert read == [pinned] * 4


def test_the_block_is_the_one_writers(collection: Collection, item: Callable[..., Item]) -> None:
    other = Store(collection.uri).open("things")
    with collection.pinned():
        collection.insert([item("a")])
        for call in (other.optimize, lambda: other.upsert([item("b")]), lambda: other.pinned().__enter__()):
            with pytest.raises(Locked):
                call()
    other.upsert([item("b")])


def test_ids_come_in_batches_of_one_version(collection: Collection, item: Callable[..., Item]) -> None:
    assert list(collection.ids()) == []
    for start in range(0, 50, 10):
        collection.upsert([item(f"{n}") for n in range(start, start + 10)])
    stream = collection.ids(batch_size=4)
    first = next(stream)
    collection.delete([f"{n}" for n in range(50)])
    batches = [first, *stream]
    assert max(map(len, batches)) <= 4
    assert sorted(int(name) for batch in batches for name in batch) == list(range(50))


def test_many_deletes_are_commits_of_bounded_size(
    collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneword.storage.collection.DELETED_AT_ONCE", 7)
    collection.upsert([item(f"{n}") for n in range(30)])
    before = collection.version
    assert collection.delete([f"{n}" for n in range(25)] * 2 + ["nope"]) == 25
    assert collection.version == before + 4  # 26 names by 7
    assert ids(collection) == ["25", "26", "27", "28", "29"]


def test_a_hundred_thousand_deletes(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item(f"{n}") for n in range(3000)])
    assert collection.delete(f"{n}" for n in range(10, 100_010)) == 2990
    assert len(ids(collection)) == 10
