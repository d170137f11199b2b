"""One suite over a database on this machine and behind a service, waited for or awaited."""

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest

import oneword
from oneword.awaited import AsyncCollection, AsyncDatabase
from oneword.database import Collection, Database, Indexed
from oneword.engine import Text, encode, load
from oneword.engine.chunks import Splitter
from oneword.engine.views import DEFAULT
from oneword.indexer.options import JobConfig, SourceOptions
from oneword.query import Query, Vector
from oneword.query.client import NewItem
from oneword.query.table import show

RED, BLUE = (PIL.Image.new("RGB", (64, 48), color) for color in ("red", "blue"))


class Awaited:
    """An asynchronous database or collection, with each method waited for: what the suite calls."""

    def __init__(self, awaited: Any) -> None:
        self._awaited = awaited

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._awaited, name)
        if inspect.isasyncgenfunction(found):
            return lambda *args, **named: iter(asyncio.run(_all(found(*args, **named))))
        if inspect.iscoroutinefunction(found):
            return lambda *args, **named: asyncio.run(found(*args, **named))
        return found

    def collection(self, *args: Any, **named: Any) -> "Awaited":
        return Awaited(self._awaited.collection(*args, **named))


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    RED.save(folder / "red.png")
    BLUE.save(folder / "blue.png")
    (folder / "note.txt").write_text("a red bicycle leans on the wall")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


@pytest.fixture(scope="module")
def served(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    base = tmp_path_factory.getbasetemp()
    return str(start("--db", tmp_path_factory.mktemp("served") / "db", "--job-root", base).url)


@pytest.fixture(params=["local", "service", "awaited"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Here, behind a service, and here to be awaited: what is awaited wraps the others, so one of them will do."""
    if request.param == "awaited":
        awaited = oneword.connect_async(tmp_path / "db")
        yield Awaited(awaited)
        asyncio.run(awaited.close())
        return
    with oneword.connect(tmp_path / "db" if request.param == "local" else request.getfixturevalue("served")) as db:
        yield db
        for one in db.collections():
            db.drop(one.name)


@pytest.fixture
def things(db: Any) -> Any:
    return db.collection("things", model="hash")


def test_a_round_trip(things: Any) -> None:
    stored = things.upsert(
        [
            {"id": "red", "image": RED, "metadata": {"year": 2024}},
            NewItem(id="note", text="a red bicycle", uri="https://example.org/note"),
            {"id": "given", "text": "raw", "vector": [1.0] + [0.0] * 255},
        ]
    )
    assert (stored.added, stored.updated, stored.refused) == (3, 0, 0)
    again = things.upsert([{"id": "red", "image": RED, "metadata": {"year": 2025}}])
    assert (again.added, again.updated) == (0, 1)
    assert again.version > stored.version
    assert things.count() == 3
    assert things.count("year >= 2025") == 1
    hit = things.search("a red bicycle", limit=1, where="modality = text").hits[0]
    assert (hit.id, hit.uri) == ("note", "https://example.org/note")
    assert hit.score == pytest.approx(1, abs=1e-3)
    assert things.search(image=RED, limit=1).hits[0].id == "red"
    assert [len(one) for one in things.search_batch(["a red bicycle", "raw"])] == [3, 3]
    got = things.get(["red", "absent"], include=("payload", "vector", "thumbnail"))
    assert list(got) == ["red"]
    assert got["red"].metadata == {"year": 2025}
    assert np.linalg.norm(got["red"].vector) == pytest.approx(1, abs=1e-2)
    assert got["red"].thumbnail
    assert {item.id for item in things.scroll(page=2)} == {"red", "note", "given"}
    assert things.delete("note") == 1
    assert things.delete(where="year = 2025") == 1
    assert things.count() == 1
    info = things.info()
    assert (info.name, info.items, info.model, info.dimension) == ("things", 1, "hash", 256)


def test_confidence_and_copies(things: Any) -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    cat = PIL.Image.fromarray(small).resize((256, 256), PIL.Image.Resampling.BICUBIC)
    texts = [{"id": f"note {n}", "text": f"a red bicycle, number {n}"} for n in range(6)]
    things.upsert([{"id": "cat", "image": cat}, {"id": "gray", "image": cat.convert("L").resize((99, 99))}, *texts])
    things.build()
    while things.search("a red bicycle, number 3").hits[0].confidence is None:  # a service began one after the write
        things.build()
    assert things.search("a red bicycle, number 3", min_confidence=0.95).hits[0].id == "note 3"
    assert len(things.search("a violin on a music stand", min_confidence=0.95)) == 0
    (group,) = things.duplicates()
    assert (group.exact, [one.id for one in group.items]) == (False, ["cat", "gray"])
    assert (group.items[1].width, group.items[1].height) == (99, 99)
    assert things.duplicates("meaning", threshold=1.0, limit=1) == []


def test_each_item_is_refused_by_itself(things: Any) -> None:
    stored = things.upsert(
        [
            {"id": "good", "text": "a dog"},
            {"id": "empty"},
            {"id": "blank", "text": "  "},
            {"id": "no picture", "image": b"nothing"},
            {"id": "short", "vector": [1.0, 2.0]},
        ]
    )
    assert [one.status for one in stored.items] == ["added", *["refused"] * 4]
    assert all(one.error is not None and str(one.error) for one in stored.items[1:])
    with pytest.raises(oneword.Error):
        things.upsert([{"id": "empty"}])
    with pytest.raises(oneword.Error, match="colour"):
        things.upsert([{"colour": "red"}])


def test_a_text_longer_than_the_model_reads_is_told_of(db: Any, capsys: pytest.CaptureFixture[str]) -> None:
    things, long = db.collection("long", model="mini"), "a red circle on a blue square. " * 90
    stored = things.upsert([{"id": "long", "text": long}, {"id": "short", "text": "a red circle"}])
    assert (stored.added, stored.shortened) == (2, 1)
    assert [one.shortened for one in stored.items] == [True, False]
    encoder = load("mini")
    read = Splitter.of(encoder).fitted(Text(text=long))
    assert isinstance(read, Text)
    assert long.startswith(read.text)
    assert read.text.endswith(".")  # as an indexing job cuts it
    vector = things.get("long", include=("vector",))["long"].vector
    assert np.abs(vector - encode(encoder, [read], DEFAULT)[0]).max() < 1e-3
    cut, whole = things.search(long), things.search("a red circle")
    assert (cut.shortened, whole.shortened) == (1, 0)
    assert (cut.as_dict()["shortened"], "shortened" in whole.as_dict()) == (1, False)
    show(cut)
    assert "1 of the query's texts is longer than the model reads" in capsys.readouterr().out
    show(whole)
    assert "longer than" not in capsys.readouterr().out


def test_indexing(db: Any, folder: Path) -> None:
    photos = db.collection("photos", model="hash")
    assert photos.index(folder) == Indexed(indexed=3, unchanged=0, quarantined=1, deleted=0)
    assert photos.index(str(folder)) == Indexed(indexed=0, unchanged=3, quarantined=1, deleted=0)
    (entry,) = photos.quarantine()
    assert entry.uri.endswith("broken.png")
    assert entry.reason
    (folder / "note.txt").unlink()
    sync = JobConfig(delete_missing=True)
    kept = photos.index(folder, config=sync, options=SourceOptions(include=("*.png",)))
    assert (kept.unchanged, kept.deleted) == (2, 0)  # a pattern covers only what it names
    assert photos.index(folder, config=sync).deleted == 1
    assert photos.search(image=folder / "red.png", limit=1).hits[0].uri.endswith("red.png")
    versions = photos.versions()
    assert [one.version for one in versions] == sorted(one.version for one in versions)
    assert photos.search("a red bicycle", version=versions[-1].version).version == versions[-1].version


def test_vectors_that_are_there_already(db: Any) -> None:
    vectors = np.random.default_rng(0).normal(size=(1200, 8)).astype(np.float32)
    given = pa.table({"key": [f"n{n}" for n in range(1200)], "embedding": list(vectors), "year": range(1200)})
    columns = {"id": "key", "vector": "embedding", "uri": "key"}
    things = db.collection("things", model="vectors:text-embedding-3-small:8")
    with pytest.raises(oneword.Error, match="column 'vector' is missing"):
        things.import_vectors(given)
    done = things.import_vectors(given, columns=columns, modality="image")
    assert (done.added, done.updated, things.count("modality = image")) == (1200, 0, 1200)
    assert things.import_vectors(given, columns=columns, without=["year"]).added == 0
    hit = things.search(Query(parts=(Vector(values=vectors[7].tolist()),), limit=1)).hits[0]
    assert (hit.id, hit.score) == ("n7", pytest.approx(1, abs=1e-3))
    assert "n7" not in [one.id for one in things.search(like="n7")]
    with pytest.raises(oneword.Error, match=r"only says where vectors came from.*search by vector"):
        things.search("a dog")
    with pytest.raises(oneword.Error, match="only says where vectors came from"):
        things.upsert([{"text": "a dog"}])
    with pytest.raises(oneword.Error, match="vectors:another:8"):
        db.collection("things", model="vectors:another:8").import_vectors(given, columns=columns)
    with pytest.raises(oneword.Error, match="vectors:NAME:DIMENSIONS"):
        db.collection("other", model="vectors:8").import_vectors(given, columns=columns)
    known = db.collection("known", model="hash")
    vector = encode(load("hash"), [Text(text="a red bicycle")], DEFAULT).tolist()
    known.import_vectors(pa.table({"id": ["1"], "vector": vector, "text": ["some words"]}))
    assert known.search("a red bicycle").hits[0].score == pytest.approx(1, abs=1e-3)


def test_the_ann_index(things: Any) -> None:
    noise = np.random.default_rng(0)
    items = [{"id": str(n), "text": f"text {n}", "vector": noise.normal(size=256).tolist()} for n in range(300)]
    things.upsert(items)
    things.build()
    check = things.verify()
    assert check is not None
    assert check.right
    assert things.info().index["rows"] == 300


def test_collections(db: Any, things: Any) -> None:
    with pytest.raises(oneword.Error, match="things"):
        things.search("a dog")
    things.upsert([{"text": "a dog"}])
    assert [one.name for one in db.collections()] == ["things"]
    assert things.verify() is None  # no index: searches are exact
    db.drop("things")
    assert db.collections() == []
    with pytest.raises(oneword.Error):
        things.count()
    things.upsert([{"text": "a cat"}, {"text": "a dog"}])  # made again
    assert things.count() == 2


def test_results_for_tables_and_notebooks(things: Any) -> None:
    things.upsert(
        [{"id": "red", "image": RED, "metadata": {"year": 2024}}, {"id": "<script>", "text": "<b>bold & red</b>"}]
    )
    found = things.search("red", include=("payload", "vector"))
    assert [one["id"] for one in found.to_list()] == [hit.id for hit in found]
    table = found.to_arrow()
    assert table.column_names == ["id", "score", "modality", "uri", "text", "metadata", "vector"]
    assert {json.loads(one).get("year") for one in table["metadata"].to_pylist()} == {2024, None}
    pandas = pytest.importorskip("pandas")
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert {"year": 2024} in list(frame["metadata"])
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "&lt;b&gt;bold &amp; red&lt;/b&gt;" in shown
    assert shown.count("data:image/") == 1


def test_the_four_classes_have_the_same_methods() -> None:
    for one, other in ((Collection, AsyncCollection), (Database, AsyncDatabase)):
        for name, method in vars(one).items():
            if name.startswith("_") or not inspect.isfunction(method):
                continue
            mirrored = inspect.signature(getattr(other, name))
            assert list(mirrored.parameters.values()) == list(inspect.signature(method).parameters.values()), name


def test_importing_is_light() -> None:
    program = "import sys, oneword; assert not {'numpy', 'torch', 'lancedb', 'httpx', 'PIL'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_key_is_for_services(tmp_path: Path) -> None:
    with pytest.raises(oneword.Error, match="expected no key"):
        oneword.connect(str(tmp_path), key="x")
