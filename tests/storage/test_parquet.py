"""Exports come back to the bit; files of others come in as far as they can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import (
    BadItem,
    Collection,
    Item,
    Locked,
    SpaceMismatch,
    StorageError,
    Store,
    StoreUnavailable,
    export,
    importing,
)
from oneword.storage.export import export_parquet
from oneword.storage.importing import import_parquet

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v", "prompts": {"é": 1}}
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)


def contents(collection: Collection) -> dict[str, tuple[Item, bytes]]:
    items = (one for batch in collection.scan(vectors=True) for one in batch)
    return {one.id: (one, np.asarray(one.vector, np.float16).tobytes()) for one in items}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
facts = {
    "count": st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    "name": texts,
    "flag": st.booleans(),
    "at": st.datetimes(timezones=st.just(UTC)),
    "tags": st.lists(texts, max_size=3),
}


@st.composite
def items(draw: st.DrawFn) -> Item:
    vector = np.random.default_rng(draw(st.integers(0, 10**6))).normal(size=4)
    return Item(
        id=draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)),
        modality=draw(st.sampled_from(["image", "text"])),
        uri=draw(texts),
        content_hash=draw(texts),
        text=draw(st.none() | texts),
        image_hash=draw(st.none() | texts),
        width=draw(st.none() | st.integers(0, 10**6)),
        height=draw(st.none() | st.integers(0, 10**6)),
        thumbnail=draw(st.none() | st.binary(max_size=8)),
        metadata=draw(st.fixed_dictionaries({}, optional=facts)),
        indexed_at=draw(st.none() | st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC))),
        vector=(vector / np.linalg.norm(vector)).astype(np.float32),
    )


@given(stored=st.lists(items(), max_size=12), precision=st.sampled_from(["float16", "float32"]))
@settings(max_examples=12)
def test_an_export_comes_back_to_the_bit(stored: list[Item], precision: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Store(f"{folder}/a").create("things", SPACE)
        source.upsert(stored)
        done = export_parquet(source, folder, precision=precision)
        assert (done.file, done.items) == (f"{folder}/things.parquet", source.count())
        other = Store(f"{folder}/b")
        first = import_parquet(other, done.file, "copy")
        assert (first.added, first.updated, first.unchanged) == (source.count(), 0, 0)
        copy = other.open("copy")
        assert contents(copy) == contents(source)
        assert copy.space == source.space
        version = copy.version
        again = import_parquet(other, done.file, "copy")
        assert (again.added, again.updated, again.unchanged) == (0, 0, source.count())
        assert copy.version == version, "nothing was written"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.parquet"


@pytest.fixture
def filled(collection: Collection, item: Callable[..., Item]) -> Collection:
    collection.upsert([item(f"{n}", [n, 1, 2, 0], metadata={"n": n}) for n in range(30)])
    return collection


def test_an_export_is_plain_parquet(filled: Collection, tmp_path: Path) -> None:
    filled.delete(["7"])
    table = pq.read_table(export_parquet(filled, tmp_path / "x.parquet").file)
    assert table.schema.names[:4] == ["id", "modality", "uri", "content_hash"]
    assert table.schema.field("vector").type == pa.list_(pa.float16(), 4)
    assert sorted(table["meta_n"].to_pylist()) == [n for n in range(30) if n != 7]
    floats = pq.read_table(export_parquet(filled, tmp_path / "y.parquet", precision="float32").file)
    assert floats.schema.field("vector").type == pa.list_(pa.float32(), 4)


def test_an_export_is_written_whole_or_not_at_all(
    filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    stale, fresh = folder / ".things.parquet.1.partial", folder / ".things.parquet.2.partial"
    for left in (stale, fresh):
        left.write_bytes(b"left by a killed export")
    os.utime(stale, (1, 1))
    groups = export._groups

    def dying(*args: Any) -> Any:
        yield from groups(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "_groups", dying)
        with pytest.raises(KeyboardInterrupt):
            export_parquet(filled, folder)
    assert [path.name for path in folder.iterdir()] == [fresh.name]
    monkeypatch.setattr(export, "GROUP_BYTES", 1)
    monkeypatch.setattr(export, "ROWS", 7)
    done = export_parquet(filled, folder)
    assert pq.ParquetFile(done.file).num_row_groups == 5
    assert (pq.read_table(done.file).num_rows, done.items) == (30, 30)
    with pytest.raises(StoreUnavailable, match="nowhere"):
        export_parquet(filled, tmp_path / "nowhere" / "x.parquet")


def test_an_import_of_another_space_is_refused(filled: Collection, store: Store, tmp_path: Path) -> None:
    file = export_parquet(filled, tmp_path).file
    store.create("other", {**filled.space, "fingerprint": "0" * 40, "view": "style"})
    with pytest.raises(SpaceMismatch, match=r"view style.*view meaning"):
        import_parquet(store, file, "other")
    with filled.writing(), pytest.raises(Locked):
        import_parquet(store, file, "things")


def test_an_import_updates_and_leaves_what_is_not_in_the_file(
    filled: Collection, store: Store, item: Callable[..., Item], tmp_path: Path
) -> None:
    before = contents(filled)
    file = export_parquet(filled, tmp_path).file
    filled.upsert([item("3", text="other"), item("4", [0, 1, 2, 4], metadata={"n": 4}), item("new")])
    filled.delete(["5"])
    done = import_parquet(store, file, "things")
    assert (done.added, done.updated, done.unchanged) == (1, 2, 27)
    after = contents(filled)
    assert after.pop("new")
    assert after == before


def test_a_killed_import_goes_on(filled: Collection, store: Store, tmp_path: Path, process: Callable[..., Any]) -> None:
    code = """
import os, signal, sys
from oneword.storage import Collection, Store
from oneword.storage import importing
from oneword.storage.importing import import_parquet
importing.CHUNK = 4
upsert, done = Collection.upsert, []
def dying(self, items):
    done.append(upsert(self, items))
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return done[-1]
Collection.upsert = dying
import_parquet(Store(sys.argv[1]), sys.argv[2], "copy")
"""
    file = export_parquet(filled, tmp_path).file
    assert process(code, store.uri, file).wait(60) == -9
    assert store.open("copy").count() == 12
    done = import_parquet(store, file, "copy")
    assert (done.added, done.updated, done.unchanged) == (18, 0, 12)
    assert contents(store.open("copy")) == contents(filled)


def foreign(**columns: Any) -> pa.Table:
    """Three rows with ids and vectors, unless told otherwise."""
    base: dict[str, Any] = {
        "id": ["a", "b", "c"],
        "vector": pa.array([[3.0, 4, 0, 0], [0, 0, 0, 0.5], [1, 1, 1, 1]], pa.list_(pa.float64())),
        "text": ["one", None, "three"],
        "uri": [None, "file:///b.png", "file:///c.png"],
    }
    return pa.table({key: value for key, value in {**base, **columns}.items() if value is not None})


def test_a_file_of_someone_else(collection: Collection, store: Store, file: Path) -> None:
    table = foreign(
        year=[2020, None, 2021],
        price=pa.array([1.5, float("nan"), None]),
        cost=pa.array([Decimal("1.25"), None, None]),
        good=[True, False, None],
        day=[date(2024, 5, 31), None, None],
        at=pa.array([NOON.replace(tzinfo=None)] * 3, pa.timestamp("ns")),
        tags=pa.array([["x", None], [], None], pa.list_(pa.string())),
        kind=pa.array(["p", "q", "p"]).dictionary_encode(),
        empty=pa.nulls(3),
        __index_level_0__=[0, 1, 2],
        modality=[None, None, "image"],
    )
    pq.write_table(table, file)
    done = import_parquet(store, file, "things")
    assert (done.added, done.rows) == (3, 3)
    found = collection.get(["a", "b", "c"], vectors=True)
    assert found["a"].metadata == {
        "year": 2020,
        "price": 1.5,
        "cost": 1.25,
        "good": True,
        "day": datetime(2024, 5, 31, tzinfo=UTC),
        "at": NOON,
        "tags": ["x"],
        "kind": "p",
    }
    assert found["b"].metadata == {"good": False, "at": NOON, "tags": [], "kind": "q"}
    assert [one.modality for one in found.values()] == ["text", "image", "image"]
    assert found["a"].uri == f"{file.as_uri()}#a"
    assert found["c"].text == "three"
    np.testing.assert_allclose(found["a"].vector, [0.6, 0.8, 0, 0], atol=1e-3)
    np.testing.assert_allclose(found["b"].vector, [0, 0, 0, 1], atol=1e-3)
    assert len({one.content_hash for one in found.values()}) == 3
    version = collection.version
    assert import_parquet(store, file, "things").unchanged == 3
    assert collection.version == version
    assert collection.count("year = 2020 and tags contains x") == 1
    pq.write_table(foreign(text=["ONE", None, "three"]), file)
    assert import_parquet(store, file, "things").updated == 3


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 4), pa.list_(pa.float16(), 4)],
)
def test_vectors_may_be_lists_of_any_floats(
    store: Store, collection: Collection, file: Path, kind: pa.DataType
) -> None:
    numbers = [np.asarray([1, 0, 0, 1], np.float16)] * 3 if pa.types.is_float16(kind.value_type) else [[1, 0, 0, 1]] * 3
    pq.write_table(foreign(vector=pa.array(numbers, kind), id=pa.array([1, 2, 3])), file)
    import_parquet(store, file, "things")
    np.testing.assert_allclose(collection.get(["2"], vectors=True)["2"].vector, [0.5**0.5, 0, 0, 0.5**0.5], atol=1e-3)


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"id": None}, "'id' is missing"),
        ({"vector": None, "id": None}, r"'id' is missing; column 'vector' is missing"),
        ({"text": None, "uri": None}, "neither 'text' nor 'uri'"),
        ({"id": [1.5, 2.5, 3.5]}, "'id' is double, expected strings"),
        ({"text": [1, 2, 3]}, "'text' is int64, expected strings"),
        ({"width": ["1", "2", "3"]}, "'width' is string, expected whole numbers"),
        ({"vector": [[1, 2, 3, 4]] * 3}, "'vector' is list<.*int64.*expected lists of float"),
        ({"vector": [1.0, 2.0, 3.0]}, "'vector' is double, expected lists"),
        ({"more": [{"a": 1}] * 3}, "'more' is struct.*metadata cannot be"),
        ({"a-b": [1, 2, 3]}, "'a-b' cannot be a metadata key"),
        ({"id": ["a", None, ""]}, r"no id in 2 rows \(1, 2\)"),
        ({"text": ["x", None, None], "uri": [None, None, "u"]}, r"neither text nor uri in 1 rows \(1\)"),
        ({"modality": ["text", "sound", None]}, r"modality other than image and text in 1 rows \(1\)"),
        ({"vector": [[1.0, 0, 0, 0], [0.0] * 4, [0.0] * 4]}, r"a vector of zeros in 2 rows \(1, 2\)"),
        ({"vector": [[1.0, 0, 0, 0], [float("nan")] * 4, None]}, r"no vector in 1 rows \(2\); NaN.* in 1 rows \(1\)"),
        ({"vector": [[float("inf"), 0, 0, 0], [1.0, 0, None, 0], [1.0] * 4]}, r"NaN.*null.*2 rows \(0, 1\)"),
        ({"vector": [[1.0, 0, 0], [1.0] * 4, [1.0] * 5]}, r"other than 4 numbers in 2 rows \(0, 2\)"),
        ({"n": ["text"] * 3}, "'n' holds a string, but in collection 'things' it is a number"),
    ],
)
def test_what_cannot_be_imported_is_named_and_nothing_is(
    filled: Collection, store: Store, file: Path, columns: dict[str, Any], complaint: str
) -> None:
    version = filled.version
    pq.write_table(foreign(**columns), file)
    with pytest.raises(StorageError, match=rf"in\.parquet.*{complaint}"):
        import_parquet(store, file, "things")
    assert filled.version == version


def test_files_that_are_none(store: Store, collection: Collection, file: Path, tmp_path: Path) -> None:
    file.write_text("no parquet")
    for path in (file, tmp_path, tmp_path / "absent.parquet"):
        with pytest.raises(StorageError, match="cannot be read as parquet"):
            import_parquet(store, path, "things")
    pq.write_table(foreign(), file)
    with pytest.raises(StorageError, match=r"not one of our exports.*collections create new --model"):
        import_parquet(store, file, "new")
    assert store.collections() == ["things"]


def test_a_column_given_twice(store: Store, collection: Collection, file: Path) -> None:
    table = foreign()
    pq.write_table(pa.Table.from_arrays([*table.columns, table["id"]], [*table.schema.names, "id"]), file)
    with pytest.raises(StorageError, match="there are two columns 'id'"):
        import_parquet(store, file, "things")


def test_an_export_that_was_tampered_with(filled: Collection, store: Store, file: Path) -> None:
    whole = pq.read_table(export_parquet(filled, file).file)
    place = whole.schema.get_field_index("vector")

    def refused(table: pa.Table, complaint: str) -> None:
        pq.write_table(table, file)
        with pytest.raises(StorageError, match=complaint):
            import_parquet(store, file, "new")
        assert store.collections() == ["things"]

    refused(whole.drop_columns(["uri", "thumbnail"]), r"'uri' is missing; column 'thumbnail' is missing")
    refused(whole.append_column("colour", pa.array(["x"] * 30)), "'colour' are not a collection's")
    metadata = whole.schema.get_field_index("metadata")
    refused(whole.set_column(metadata, "metadata", pa.array(["{"] * 30)), "not a JSON object in 30 rows .*, ...")
    longer = pa.array([[2.0, 0, 0, 0]] * 30, pa.list_(pa.float32(), 4))
    refused(whole.set_column(place, "vector", longer), "not of length 1 in 30 rows")
    refused(whole.replace_schema_metadata({b"oneword.space": b"{"}), "space written in it cannot be read")
    # Rewritten by another tool, the space is lost, and the user vouches for it.
    pq.write_table(whole.replace_schema_metadata(None), file)
    assert import_parquet(store, file, "things").unchanged == 30


def test_what_only_storing_tells_stops_at_that_item(collection: Collection, store: Store, file: Path) -> None:
    pq.write_table(foreign(price=[1.0, float("inf"), 2.0]), file)
    with pytest.raises(BadItem, match=r"'b'.*'price'.*not finite"):
        import_parquet(store, file, "things")
    assert collection.count() == 0


def test_memory_does_not_grow_with_the_file(
    filled: Collection, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_parquet(filled, file)
    sizes: list[int] = []
    upsert = Collection.upsert

    def watched(self: Collection, given: Any) -> Any:
        sizes.append(len(given))
        return upsert(self, given)

    monkeypatch.setattr(importing, "CHUNK_NUMBERS", 32)  # 8 rows of 4
    monkeypatch.setattr(Collection, "upsert", watched)
    import_parquet(store, file, "copy")
    assert max(sizes) == 8
    assert contents(store.open("copy")) == contents(filled)
