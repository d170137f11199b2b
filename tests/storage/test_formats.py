"""What others keep vectors in comes in, and what goes out to others comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import lancedb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from oneword.storage import (
    Collection,
    Item,
    StorageError,
    Store,
    export_json,
    export_npy,
    formats,
    import_rows,
    open_rows,
)
from oneword.storage.rows import of_parquet

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
VECTORS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
NAMES = [f"n{n}" for n in range(9)]
FRAME = pa.table({"key": NAMES, "embedding": list(VECTORS), "caption": [f"text {n}" for n in NAMES], "year": range(9)})
COLUMNS = {"id": "key", "vector": "embedding", "text": "caption"}


def stored(store: Store, name: str = "things") -> dict[str, Item]:
    return {item.id: item for batch in store.open(name).scan(vectors=True) for item in batch}


def check(store: Store, ids: list[str], *, atol: float = 1e-3) -> dict[str, Item]:
    """Every vector is there, under its id."""
    found = stored(store)
    assert sorted(found) == sorted(ids)
    for name, vector in zip(ids, UNIT, strict=True):
        np.testing.assert_allclose(found[name].vector, vector, atol=atol)
    return found


def lance(folder: Path) -> Any:
    return lancedb.connect(folder / "other").create_table("pictures", FRAME)


MEMORY: dict[str, Callable[[Path], Any]] = {
    "arrow": lambda _: FRAME,
    "reader": lambda _: FRAME.to_reader(),
    "pandas": lambda _: pd.DataFrame({**FRAME.to_pandas(), "embedding": list(VECTORS)}),
    "datasets": lambda _: Dataset.from_dict({**FRAME.to_pydict()}),
    "picked": lambda _: Dataset.from_dict({**FRAME.take([8, *range(9)]).to_pydict()}).select(range(1, 10)),
    "lancedb": lance,
}


@pytest.mark.parametrize("kind", MEMORY)
def test_what_is_in_memory(store: Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneword.storage.importing.CHUNK", 4)
    rows = open_rows(MEMORY[kind](tmp_path)).mapped(COLUMNS)
    done = import_rows(store, rows, "things", SPACE)
    assert (done.added, done.unchanged) == (9, 0)
    found = check(store, NAMES)["n3"]
    assert (found.text, found.metadata, found.modality, found.uri) == (
        "text n3",
        {"year": 3},
        "text",
        "urn:oneword:item:n3",
    )
    assert import_rows(store, rows, "things", SPACE).unchanged == 9


def test_files_of_tables(store: Store, tmp_path: Path) -> None:
    lance(tmp_path)
    (tmp_path / "parts").mkdir()
    for part in range(3):
        pq.write_table(FRAME.slice(3 * part, 3), tmp_path / "parts" / f"{part}.parquet")
    with pa.ipc.new_file(tmp_path / "t.arrow", FRAME.schema) as out:
        out.write_table(FRAME, max_chunksize=5)
    added = []
    for path in ("parts", "t.arrow", "other/pictures.lance"):
        rows = open_rows(tmp_path / path).mapped(COLUMNS, without=["year"])
        done = import_rows(store, rows, path[0], SPACE)
        added.append(done.added)
        assert stored(store, path[0])["n3"].uri == f"{(tmp_path / path).as_uri()}#n3"
        assert stored(store, path[0])["n3"].metadata == {}
    assert added == [9, 9, 9]
    with pytest.raises(StorageError, match=r"no column 'nothing'; it has key, embedding"):
        open_rows(FRAME).mapped({"text": "nothing"})
    with pytest.raises(StorageError, match="a dict cannot be imported; expected a path, an Arrow table"):
        open_rows({"id": 1})
    pq.write_table(FRAME.drop_columns(["year"]), tmp_path / "parts" / "3.parquet")
    with pytest.raises(StorageError, match=r"3\.parquet: has other columns than 0\.parquet"):
        of_parquet(tmp_path / "parts")


def test_one_of_our_tables_by_its_folder_is_an_export(collection: Collection, store: Store, item: Any) -> None:
    collection.upsert([item("a", [1, 2, 3, 4], metadata={"n": 1})])
    done = import_rows(store, open_rows(Path(store.uri) / "things.lance"), "copy")
    assert (done.added, stored(store, "copy")) == (1, stored(store))


def test_a_matrix_of_numpy(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "v.npy"
    np.save(file, VECTORS)
    import_rows(store, open_rows(file), "things", SPACE)
    assert check(store, [str(n) for n in range(9)])["3"].uri == "3"
    (tmp_path / "ids.txt").write_text("\n".join(NAMES))
    store.drop("things")
    import_rows(store, open_rows(file, beside=tmp_path / "ids.txt"), "things", SPACE)
    check(store, NAMES)
    pq.write_table(FRAME.drop_columns(["embedding"]), file.with_suffix(".parquet"))  # taken, as it has the name
    store.drop("things")
    rows = open_rows(file).mapped({"id": "key", "text": "caption"})
    import_rows(store, rows, "things", SPACE)
    assert check(store, NAMES)["n3"].text == "text n3"


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [(["a"] * 9, "given before in 8 rows"), (NAMES[:8], "of 8; expected one"), ([*NAMES, "x"], "of at least 10;")],
)
def test_facts_that_do_not_fit_a_matrix(store: Store, tmp_path: Path, ids: list[str], complaint: str) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    np.save(tmp_path / "ids.npy", np.array(ids))
    with pytest.raises(StorageError, match=complaint):
        import_rows(store, open_rows(tmp_path / "v.npy", beside=tmp_path / "ids.npy"), "things", SPACE)
    assert store.collections() == []


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((9, 4)), "a vector of zeros in 9 rows"),
        (np.full((2, 4), np.nan), "NaN, infinity or null in the vector in 2 rows"),
        (np.ones((2, 5)), "a vector of other than 4 numbers in 2 rows"),
        (np.ones(4), r"is float64 of shape \(4,\); expected floats"),
        (np.array(["a", object], dtype=object), "cannot be read as an array of NumPy"),
    ],
)
def test_arrays_that_are_no_vectors(store: Store, tmp_path: Path, array: Any, complaint: str) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(StorageError, match=complaint):
        import_rows(store, open_rows(tmp_path / "v.npy"), "things", SPACE)
    assert store.collections() == []


def index_of(kind: str) -> tuple[Any, list[str]]:
    if kind == "ids":
        index = faiss.IndexIDMap(faiss.IndexFlatIP(4))
        index.add_with_ids(VECTORS, np.arange(9) * 10)
        return index, [str(10 * n) for n in range(9)]
    index = faiss.index_factory(4, kind)
    index.train(VECTORS)
    if kind.startswith("IVF"):
        index.add_with_ids(VECTORS, np.arange(9) * 7 + 1)
        return index, [str(7 * n + 1) for n in range(9)]
    index.add(VECTORS)
    return index, [str(n) for n in range(9)]


@pytest.mark.parametrize("kind", ["Flat", "HNSW8", "IVF2,Flat", "ids", "SQ8", "PCAR4,Flat"])
def test_a_faiss_index(store: Store, tmp_path: Path, kind: str) -> None:
    index, ids = index_of(kind)
    faiss.write_index(index, str(tmp_path / "v.faiss"))
    import_rows(store, open_rows(tmp_path / "v.faiss"), "things", SPACE)
    check(store, ids, atol=0.05 if kind == "SQ8" else 2e-3)


def test_a_faiss_index_without_its_vectors(tmp_path: Path) -> None:
    (tmp_path / "v.faiss").write_bytes(b"nothing")
    with pytest.raises(StorageError, match="cannot be read by FAISS"):
        open_rows(tmp_path / "v.faiss")
    bits = faiss.IndexBinaryFlat(8)
    bits.add(np.zeros((2, 1), np.uint8))
    faiss.write_index_binary(bits, str(tmp_path / "v.faiss"))
    with pytest.raises(StorageError, match=r"cannot be read by FAISS \(.*not recognized"):
        open_rows(tmp_path / "v.faiss")


def test_a_folder_of_clip_retrieval(store: Store, tmp_path: Path) -> None:
    for part in range(3):
        some = slice(3 * part, 3 * part + 3)
        for folder in ("img_emb", "metadata"):
            (tmp_path / folder).mkdir(exist_ok=True)
        np.save(tmp_path / "img_emb" / f"img_emb_{part}.npy", UNIT[some].astype(np.float16))
        facts = {"image_path": [f"/p/{n}.jpg" for n in NAMES[some]], "caption": NAMES[some], "width": [7] * 3}
        pq.write_table(pa.table(facts), tmp_path / "metadata" / f"metadata_{part}.parquet")
    import_rows(store, open_rows(tmp_path), "things", SPACE)
    found = check(store, [f"/p/{n}.jpg" for n in NAMES])["/p/n3.jpg"]
    assert (found.modality, found.uri, found.text, found.width) == ("image", "/p/n3.jpg", "n3", 7)
    for file in (tmp_path / "metadata").iterdir():
        file.unlink()
    import_rows(store, open_rows(tmp_path), "bare", SPACE)
    assert sorted(stored(store, "bare"))[:4] == ["0-0", "0-1", "0-2", "1-0"]


def points(**more: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": n,
            "vector": VECTORS[n].tolist(),
            "payload": {"document": f"text {n}", "id": n, "metadata": {"year": n, "tags": ["x"], "none": None}, **more},
        }
        for n in range(9)
    ]


@pytest.mark.parametrize("layout", ["lines", "pages", "document", "spread"])
def test_points_of_qdrant(store: Store, tmp_path: Path, layout: str) -> None:
    file, given = tmp_path / "points.json", points()
    page = {"result": {"points": given, "next_page_offset": None}, "status": "ok"}
    file.write_text(
        {
            "lines": "\n".join(map(json.dumps, given)),
            "pages": "\n".join(json.dumps({"result": {"points": given[at : at + 3]}}) for at in (0, 3, 6)),
            "document": json.dumps(page),
            "spread": json.dumps(page, indent=2),
        }[layout]
    )
    rows = open_rows(file).mapped({"text": "document"})
    import_rows(store, rows, "things", SPACE)
    found = check(store, [str(n) for n in range(9)])["3"]
    assert (found.text, dict(found.metadata)) == (
        "text 3",
        {"payload_id": 3, "metadata_year": 3, "metadata_tags": ["x"]},
    )
    assert import_rows(store, rows, "things", SPACE).unchanged == 9


def test_named_vectors_of_qdrant(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "points.jsonl"
    given = [{**one, "vector": {"image": one["vector"], "text": [1, 0]}} for one in points()]
    file.write_text("\n".join(map(json.dumps, given)))
    with pytest.raises(StorageError, match=r"'vector' is missing.*vector\.image, vector\.text"):
        import_rows(store, open_rows(file).mapped({"text": "document"}), "things", SPACE)
    rows = open_rows(file).mapped({"text": "document", "vector": "vector.image"}, without=["vector.text"])
    import_rows(store, rows, "things", SPACE)
    check(store, [str(n) for n in range(9)])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ('{"id": 1, "vector": [1, 0, 0, 0]}\n{"id"', "cannot be read as JSON"),
        ("[1, 2]", "'1' is not a point"),
        ('{"a": 1}', "is not a point; expected objects of id, vector"),
        ('{"id": 1, "payload": {"a": 1}}\n{"id": 2, "payload": {"a": "x"}}', "point 1 has 'a' as string.*as int64"),
        ('{"id": 1, "vector": [1, 0, 0, 0], "payload": {"a": [[1]]}}', "'a' is list.*metadata cannot be"),
        ('{"id": 1, "payload": {"text": "x"}}', "column 'vector' is null|no vector"),
        ("\xff", "cannot be read as JSON"),
    ],
)
def test_what_is_no_point(store: Store, tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "points.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(StorageError, match=complaint):
        import_rows(store, open_rows(file), "things", SPACE)
    assert store.collections() == []


def test_a_document_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "LARGEST", 100)
    file = tmp_path / "points.json"
    file.write_text(json.dumps(points(), indent=1))
    with pytest.raises(StorageError, match=r"one JSON document of more than 100 bytes; write a point a line"):
        open_rows(file)


def test_a_name_that_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "v.bin").write_bytes(b"")
    with pytest.raises(StorageError, match=r"its name says no format; name it with --from: parquet"):
        open_rows(tmp_path / "v.bin")


@pytest.fixture
def filled(collection: Collection, item: Callable[..., Item]) -> Collection:
    facts: dict[str, Any] = {"year": 2020, "tags": ["a", "b"], "good": True, "id": 5, "_own": "x"}
    ids = ["1", "01", "x y", "1c4a8a25-6a2e-5d55-9f0c-5b7e0f6d2c11", str(2**70)]
    collection.upsert([item(one, UNIT[n], text=one, metadata=facts) for n, one in enumerate(ids)])
    collection.upsert([item("image", UNIT[8], modality="image", width=3, height=4)])
    return collection


def kept(item: Item) -> Any:
    return item.modality, item.uri, item.text, item.width, item.height, np.asarray(item.vector, np.float16).tobytes()


@pytest.mark.parametrize("target", ["npy", "qdrant"])
def test_an_export_for_others_comes_back(filled: Collection, store: Store, tmp_path: Path, target: Any) -> None:
    done = export_npy(filled, tmp_path) if target == "npy" else export_json(filled, tmp_path, target)
    assert done.items == 6
    import_rows(store, open_rows(done.file), "copy", filled.space)
    copies, originals = stored(store, "copy"), stored(store)
    assert {name: kept(one) for name, one in copies.items()} == {name: kept(one) for name, one in originals.items()}
    assert dict(copies["x y"].metadata) == {"year": 2020, "tags": ["a", "b"], "good": True, "metadata_id": 5}
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith("partial")] == []


def test_what_numpy_reads(filled: Collection, tmp_path: Path) -> None:
    file = Path(export_npy(filled, tmp_path / "out.npy").file)
    assert (np.load(file).shape, np.load(file).dtype) == ((6, 4), np.float16)
    assert pq.read_table(file.with_suffix(".parquet"))["id"].to_pylist()[-1] == "image"
    filled.delete_where("width >= 0 or year >= 0")
    assert np.load(export_npy(filled, tmp_path / "none.npy").file).shape == (0, 4)


def test_rows_of_milvus(filled: Collection, tmp_path: Path) -> None:
    rows = json.loads(Path(export_json(filled, tmp_path, "milvus").file).read_text())
    assert [one["id"] for one in rows][:3] == ["1", "01", "x y"]
    vector = rows[0].pop("vector")
    own = {"id": "1", "uri": "file:///1", "text": "1", "modality": "text"}
    assert rows[0] == own | {"year": 2020, "tags": ["a", "b"], "good": True, "metadata_id": 5}
    np.testing.assert_allclose(vector, UNIT[0], atol=1e-3)


def test_ids_of_qdrant_are_numbers_and_uuids(filled: Collection, tmp_path: Path) -> None:
    text = Path(export_json(filled, tmp_path / "points", "qdrant").file).read_text()
    points = [json.loads(line) for line in text.splitlines()]
    assert [one["id"] for one in points if "oneword_id" not in one["payload"]] == [
        1,
        "1c4a8a25-6a2e-5d55-9f0c-5b7e0f6d2c11",
    ]
    assert len({one["id"] for one in points}) == 6
