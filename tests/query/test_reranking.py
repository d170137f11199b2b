"""The best hits judged again: the reranker's order, the same for every page, and the first ranking when it is late."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from sentence_transformers import CrossEncoder
from typer.testing import CliRunner

import oneword
from oneword.cli import app
from oneword.engine.config import EngineConfig
from oneword.engine.decoded import thumbnail
from oneword.engine.dependencies import quiet
from oneword.engine.hashing import HashEncoder
from oneword.engine.images import decode
from oneword.engine.reranker import Reranker, load_reranker
from oneword.engine.views import DEFAULT
from oneword.query import BadQuery, Query, SearchService, Vector
from oneword.query.reranking import Rerankers
from oneword.storage import Item, Store
from tests.engine.rerankers import reading, seeing
from tests.tiny import sentences

TEXTS = list(dict.fromkeys(sentences(40)))[:30]
QUERY = "a dog on the sofa"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading(tmp_path_factory.mktemp("reranker") / "reading")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = str(tmp_path_factory.mktemp("store") / "db")
    with oneword.connect(where) as database:
        texts: list[dict[str, Any]] = [{"id": text, "text": text} for text in TEXTS]
        image = {"id": "wordless", "image": PIL.Image.new("RGB", (20, 20), "red")}
        database.collection(model="hash").upsert([*texts, image])
    return where


def searching(db: str, load: Any = load_reranker, only: str | None = None) -> SearchService:
    config = EngineConfig(model="hash", device="cpu")
    rerankers = Rerankers(config, only, load=load)
    return SearchService.of(Store(db).open("default"), config, lambda _: HashEncoder(), rerankers)


def ids(result: Any) -> list[str]:
    return [hit.id for hit in result]


def test_the_best_are_in_the_order_of_the_reranker_and_the_rest_as_they_were(db: str, folder: Path) -> None:
    service = searching(db)
    first = ids(service.search(QUERY, limit=31))
    found = service.search(QUERY, limit=31, rerank=str(folder), rerank_depth=12)
    with quiet():
        library = CrossEncoder(str(folder), device="cpu")
    expected = [first[one["corpus_id"]] for one in library.rank(QUERY, first[:12])]
    assert ids(found) == expected + first[12:]
    assert expected != first[:12]
    assert found.reranked is not None
    assert (found.reranked.judged, found.reranked.reason) == (12, None)
    scores = dict(zip(first[:12], library.predict([(QUERY, one) for one in first[:12]]), strict=True))
    assert {hit.id: hit.rerank_score for hit in found.hits[:12]} == pytest.approx(scores, abs=1e-5)
    assert all(hit.rerank_score is None for hit in found.hits[12:])


@pytest.mark.parametrize("depth", [1, 7, 12, 50])
def test_pages_are_of_one_order(db: str, folder: Path, depth: int) -> None:
    service = searching(db)
    options: Any = {"rerank": str(folder), "rerank_depth": depth}
    whole = ids(service.search(QUERY, limit=50, **options))
    assert len(whole) == len(set(whole)) == 31
    for size in (1, 5, 12):
        pages = [service.search(QUERY, limit=size, offset=offset, **options) for offset in range(0, 31, size)]
        assert [hit.id for page in pages for hit in page] == whole


def test_the_next_page_is_not_judged_anew(db: str, folder: Path) -> None:
    runs: list[int] = []

    class Counting(Reranker):
        def scores(self, query: Any, documents: Any, ended: Any) -> Any:
            runs.append(len(documents))
            return super().scores(query, documents, ended)

    def load(name: str, **placement: Any) -> Reranker:
        return Counting(name=name, model=load_reranker(name, **placement).model)

    service = searching(db, load)
    for offset in (0, 4, 8):
        service.search(QUERY, limit=4, offset=offset, rerank=str(folder), rerank_depth=10)
    service.search(QUERY, limit=4, offset=12, rerank=str(folder), rerank_depth=10)  # beyond what is judged
    assert runs == [10]
    service.search("an empty chair", limit=4, rerank=str(folder), rerank_depth=10)
    assert len(runs) == 2


def test_what_it_cannot_read_keeps_its_rank(db: str, folder: Path) -> None:
    service = searching(db)
    first = ids(service.search(QUERY, limit=31))
    found = service.search(QUERY, limit=31, rerank=str(folder))
    assert ids(found).index("wordless") == first.index("wordless")
    assert found.reranked is not None
    assert found.reranked.judged == 30


def test_when_it_is_late_the_first_ranking_is_the_answer_and_it_ends(db: str, folder: Path) -> None:
    started, released, ended_early = threading.Event(), threading.Event(), threading.Event()

    class Stuck(Reranker):
        def scores(self, query: Any, documents: Any, ended: Any) -> Any:
            started.set()
            assert released.wait(60)
            found = super().scores(query, documents, ended)
            if found is None:
                ended_early.set()
            return found

    def load(name: str, **placement: Any) -> Reranker:
        return Stuck(name=name, model=load_reranker(name, **placement).model)

    service = searching(db, load)
    found = service.search(QUERY, limit=31, rerank=str(folder), rerank_seconds=0.05)
    assert ids(found) == ids(service.search(QUERY, limit=31))
    assert found.reranked is not None
    assert (found.reranked.judged, found.reranked.reason) == (0, "the deadline passed")
    assert all(hit.rerank_score is None for hit in found)
    assert started.wait(60)
    released.set()
    assert ended_early.wait(60), "it does not go on with what nobody waits for"
    again = service.search(QUERY, limit=31, rerank=str(folder))
    assert again.reranked is not None
    assert again.reranked.reason is None


@pytest.mark.parametrize(
    ("raised", "reason"), [(RuntimeError("no kernel"), "failed (RuntimeError)"), (None, "not finite")]
)
def test_when_it_fails_the_first_ranking_is_the_answer(
    db: str, folder: Path, raised: Exception | None, reason: str
) -> None:
    class Failing(Reranker):
        def scores(self, query: Any, documents: Any, ended: Any) -> Any:
            if raised is not None:
                raise raised
            return [float("nan")] * len(documents)

    service = searching(db, lambda name, **_: Failing(name=name, model=load_reranker(name, device="cpu").model))
    found = service.search(QUERY, limit=31, rerank=str(folder))
    assert ids(found) == ids(service.search(QUERY, limit=31))
    assert found.reranked is not None
    assert reason in (found.reranked.reason or "")


def test_which_words_it_is_asked(db: str, folder: Path) -> None:
    service = searching(db)
    by_keywords = service.search(keywords="dog", rerank=str(folder))
    assert by_keywords.reranked is not None
    assert by_keywords.reranked.judged == len(by_keywords)
    mixed = service.search(QUERY, without="a cat", rerank=str(folder), rerank_depth=10, limit=10)
    with quiet():
        library = CrossEncoder(str(folder), device="cpu")
    scores = library.predict([(QUERY, hit.id) for hit in mixed])
    assert [hit.rerank_score for hit in mixed] == pytest.approx(scores.tolist(), abs=1e-5), "without what is unwanted"
    for query in (
        Query(parts=(Vector(values=[1.0] * 256),), rerank=str(folder)),
        Query.of(like=TEXTS[0], rerank=str(folder)),
        Query.of(image=PIL.Image.new("RGB", (9, 9)), rerank=str(folder)),
    ):
        with pytest.raises(BadQuery, match=r"rerank: the query has nothing that .* reads: expected words"):
            service.search(query)


def test_which_rerankers_may_be_asked_for(db: str, folder: Path) -> None:
    with pytest.raises(BadQuery, match="no reranker: the operator loads one"):
        searching(db, only="").search(QUERY, rerank=str(folder))
    operators = searching(db, only=str(folder))
    with pytest.raises(BadQuery, match="has another reranker: expected 'auto'"):
        operators.search(QUERY, rerank="other/model")
    assert ids(operators.search(QUERY, rerank="auto")) == ids(operators.search(QUERY, rerank=str(folder)))
    with pytest.raises(BadQuery, match="expected a model"):
        searching(db).search(QUERY, rerank="auto")


def test_one_that_sees_judges_thumbnails_and_a_broken_one_keeps_its_rank(tmp_path: Path) -> None:
    space = HashEncoder().space(DEFAULT).as_dict()
    collection = Store(str(tmp_path / "db")).create("default", space)
    vectors = np.random.default_rng(0).normal(size=(6, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    small = [thumbnail(PIL.Image.new("RGB", (60, 40), color)) for color in ("red", "blue", "lime")]
    kinds: list[tuple[str | None, bytes | None]] = [
        *((None, one) for one in small),
        ("a dog", None),
        ("a cat", small[0]),
    ]
    kinds.append((None, b"\xff\xd8 broken"))
    items = [
        Item(id=str(n), vector=vector, uri=f"file:///{n}", modality="image" if seen else "text", content_hash=str(n),
             image_hash=str(n) if seen else None, text=text, thumbnail=seen, metadata={})
        for n, (vector, (text, seen)) in enumerate(zip(vectors, kinds, strict=True))
    ]  # fmt: skip
    collection.upsert(items)
    folder = seeing(tmp_path / "seeing")
    service = searching(str(tmp_path / "db"))
    first, found = (ids(service.search(QUERY, rerank=name)) for name in (None, str(folder)))
    assert found.index("5") == first.index("5")
    with quiet():
        library = CrossEncoder(str(folder), device="cpu")
    shown: dict[str, Any] = {str(n): decode(one) for n, one in enumerate(small)}
    shown |= {"3": "a dog", "4": {"image": decode(small[0]), "text": "a cat"}}
    scores = dict(zip(shown, library.predict([(QUERY, one) for one in shown.values()]).tolist(), strict=True))
    assert [one for one in found if one != "5"] == sorted(scores, key=lambda one: -scores[one])
    by_image = service.search(image=PIL.Image.new("RGB", (20, 20), "red"), rerank=str(folder))
    assert by_image.reranked is not None
    assert (by_image.reranked.judged, by_image.reranked.reason) == (5, None)
    assert all(hit.thumbnail is None for hit in by_image), "which nobody asked for"


def test_on_the_command_line(db: str, folder: Path) -> None:
    command = ["search", QUERY, "--db", db, "--no-daemon", "-k", "5", "--rerank", str(folder), "--rerank-depth", "9"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "9 hits in" in " ".join(done.output.split())
