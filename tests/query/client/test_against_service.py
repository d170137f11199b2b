"""Every method of both clients, and `oneword search --server`, against the real service in its own process."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import cli
from oneword.engine import Text as EngineText
from oneword.engine import encode, views
from oneword.engine.encoder import Side
from oneword.engine.hashing import HashEncoder
from oneword.indexer import index_paths
from oneword.query import Like, Query, SearchService, Text, Vector
from oneword.query.client import ClientError, NotThere, Rejected
from oneword.storage import Store

TEXTS = ["the cat sleeps on the sofa", "we saw an owl at night", "a red car in the street", "snow on the roof"]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a collection of 8 pictures and 4 texts, and an ANN index."""
    place = tmp_path_factory.mktemp("store")
    folder = place / "photos"
    folder.mkdir()
    for shade in range(8):
        PIL.Image.new("RGB", (12, 12), (30 * shade, 255 - 30 * shade, 128)).save(folder / f"mix{shade}.png")
    for number, text in enumerate(TEXTS):
        (folder / f"text{number}.txt").write_text(text, encoding="utf-8")
    db = place / "db"
    index_paths([folder], db=str(db), model="hash")
    Store(str(db)).open("default").build_index()
    return db


@pytest.fixture(scope="module")
def url(db: Path, start: Callable[..., Any]) -> str:
    """Of a service over that store."""
    found: str = start("--db", db, "--model", "hash", "--job-root", db.parent / "photos").url
    return found


@pytest.fixture
def real(url: str, connect: Callable[..., Any]) -> Any:
    """A client of it."""
    return connect(url)


@pytest.fixture
def made(real: Any, request: pytest.FixtureRequest) -> Any:
    """The name of an empty collection, which goes with the test."""
    details = real.create_collection("made", model="hash")
    assert (details.name, details.items, details.model, details.dimension) == (
        "made",
        0,
        "hash",
        details.space["dimension"],
    )
    yield "made"
    real.drop_collection("made")
    with pytest.raises(NotThere):
        real.collection("made")


def questions(db: Path) -> list[Query]:
    store = Store(str(db)).open("default")
    picture = PIL.Image.new("RGB", (12, 12), (60, 195, 128))
    some = SearchService(str(db)).search("the cat sleeps", limit=2).hits
    vector = store.get([some[0].id], vectors=True)[some[0].id].vector
    return [
        Query.of("the cat sleeps"),
        Query.of(image=picture, limit=3, modality="image"),
        Query.of(image=picture, edit="but darker", without=["an owl"]),
        Query.of(like=some[1].id, where="modality = text", offset=1),
        Query(parts=(Vector(values=vector, weight=2.0), Text(text="owl", weight=-0.25)), min_score=-0.5),
        Query.of("a red car", keywords="owl", limit=4),
        Query.of("a red car", keywords="owl", fusion="weighted", keyword_weight=0.75),
        Query.of(keywords="sofa"),
        Query.of("snow", diversity=0.5, group_by="format", version=store.version),
        Query.of("snow", where={"must_not": [{"field": "modality", "match": "text"}]}, include=("vector", "thumbnail")),
    ]


def test_a_query_finds_by_the_service_what_it_finds_here(real: Any, db: Path) -> None:
    here = SearchService(str(db))
    asked = questions(db)
    batch = real.search_batch(asked)
    for query, of_batch in zip(asked, batch, strict=True):
        found, expected = real.search(query), here.search(query)
        assert [hit.id for hit in found] == [hit.id for hit in expected] == [hit.id for hit in of_batch]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
        assert (found.total, found.version, found.model) == (expected.total, expected.version, "hash")
        if "payload" in query.include:
            assert [(hit.uri, hit.text) for hit in found] == [(hit.uri, hit.text) for hit in expected]
        else:
            assert all(np.array_equal(one.vector, other.vector) for one, other in zip(found, expected, strict=True))
            assert [hit.thumbnail for hit in found] == [hit.thumbnail for hit in expected]
            assert all(hit.uri == "" and hit.text is None for hit in found)


def test_what_the_service_refuses_is_an_error(real: Any) -> None:
    with pytest.raises(NotThere) as caught:
        real.search("cat", "nowhere")
    assert (caught.value.code, caught.value.status) == ("collection_not_found", 404)
    with pytest.raises(Rejected) as refused:
        real.search("cat", where="colour = red")
    assert (refused.value.code, refused.value.status) == ("bad_filter", 422)
    good, bad = real.search_batch(["cat", Query(parts=(Like(id="no such id"),))])
    assert len(good) == 10
    assert (type(bad), bad.code) == (NotThere, "item_not_found")


def test_items_come_and_go(real: Any, made: str, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    PIL.Image.new("RGB", (20, 20), "red").save(picture)
    fingerprint = real.collection(made).space["fingerprint"]
    odd = "a/b?c#ü %2F"
    items = [
        {"id": odd, "text": "a cat", "metadata": {"year": 2020, "tags": ["x", "y"]}},
        {"id": "red", "image": picture, "uri": "https://example.org/red"},
        {"id": "blank", "text": " "},
    ]
    done = real.upsert(items, made, fingerprint=fingerprint)
    assert [one.status for one in done.items] == ["added", "added", "refused"]
    assert done.items[2].error.code == "blank_text"
    assert real.upsert(items[:1], made).updated == 1
    with pytest.raises(Rejected):
        real.upsert(items[2:], made)
    with pytest.raises(Rejected, match="0123"):
        real.upsert(items[:1], made, fingerprint="0123")
    assert real.count(collection=made) == 2
    assert real.count("year >= 2020", made) == 1
    got = real.get([odd, "red", "nowhere"], made, include=("payload", "vector", "thumbnail"))
    assert set(got) == {odd, "red"}
    assert (got[odd].text, got[odd].metadata["year"]) == ("a cat", 2020)
    assert np.linalg.norm(got[odd].vector) == pytest.approx(1, abs=1e-3)
    thumbnail = real.thumbnail("red", made)
    assert thumbnail.content == got["red"].thumbnail
    assert thumbnail.media_type in ("image/jpeg", "image/webp")
    assert real.original(odd, made).content == b"a cat"
    assert real.delete(odd, collection=made) == 1
    assert real.delete(where="modality = image", collection=made) == 1
    assert real.count(collection=made) == 0


def test_all_items_are_scrolled_through_once(real: Any) -> None:
    items = list(real.scroll(page=5))
    assert len({item.id for item in items}) == len(items) == 12
    assert {item.text for item in real.scroll("modality = text", page=2)} == set(TEXTS)
    assert [item.uri for item in real.scroll(page=5, include=())] == [""] * 12


def test_originals_are_the_files_that_were_indexed(real: Any) -> None:
    hit = real.search("cat", modality="image", limit=1).hits[0]
    file = real.original(hit.id)
    assert (file.content, file.media_type) == (Path(hit.uri.removeprefix("file://")).read_bytes(), "image/png")


def test_collections_are_listed_told_and_checked(real: Any) -> None:
    listed = {one.name: one for one in real.collections()}
    details = real.collection("default")
    assert (listed["default"].items, details.items, details.by_modality) == (12, 12, {"image": 8, "text": 4})
    assert details.index is not None
    check = real.verify()
    assert (check.right, check.rows, check.missing) == (True, 12, 0)
    assert check.recall >= check.goal


def test_embeddings_are_the_models(real: Any) -> None:
    model = HashEncoder()
    picture = PIL.Image.new("RGB", (12, 12), "red")
    for side in Side:
        found = real.embed([*TEXTS, {"image": picture, "text": "red"}], input_type=side.input_type)
        expected = encode(model, [EngineText(text=text) for text in TEXTS], views.DEFAULT, side)
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        np.testing.assert_allclose(unit[: len(TEXTS)], expected, atol=1e-6)
        assert len(found) == len(TEXTS) + 1
    with pytest.raises(NotThere, match="nowhere"):
        real.embed(["cat"], model="nowhere")


def test_ready(real: Any) -> None:
    assert real.ready()


def test_the_command_prints_what_it_prints_of_a_search_here(
    url: str, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*arguments: str) -> str:
        assert cli.run(["search", *arguments]) == 0
        return capsys.readouterr().out

    words = ["the cat sleeps", "-k", "3", "--where", "modality = text", "--not", "owl"]
    here, there = (json.loads(printed(*words, "--json", *where)) for where in (["--db", str(db)], ["--server", url]))
    assert set(here.pop("timings")) == set(there.pop("timings"))
    assert here == there
    tables = [printed(*words, *where).splitlines() for where in (["--db", str(db)], ["--server", url])]
    assert tables[0][:-1] == tables[1][:-1], "all but the last line, which has times"


def test_jobs_are_started_watched_and_cancelled(real: Any, url: str, db: Path) -> None:
    photos = db.parent / "photos"
    job = real.start_job([photos], "more", options={"exclude": ["*.txt"]})
    while not (now := real.job(job.id)).is_over:
        time.sleep(0.1)
    assert (now.state, now.collection, now.counts["indexed"]) == ("done", "more", 8)
    assert now.ended is not None
    assert real.count(collection="more") == 8
    assert real.cancel_job(job.id).state == "done", "what has ended is left as it is"
    assert real.jobs(1, "more")[0].id == job.id
    with pytest.raises(ClientError):
        real.start_job(["/"], "more")
    with pytest.raises(NotThere):
        real.job("20260101T000000000000-00000000")
    real.drop_collection("more")
