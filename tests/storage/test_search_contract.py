"""Every way of answering a search gives the answers of plain numpy: the table alone, an ANN index, a stale one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import BadItem, BadSearch, Collection, FilterError, Hits, Item, Store, VersionNotFound

Make = Callable[..., Item]
DIMENSION = 6
KINDS = ["red", "green", "blue"]


@dataclass
class Model:
    """What is stored, in plain Python."""

    items: dict[str, Item]

    def ranked(self, question: np.ndarray, may: Callable[[Item], bool] = lambda _: True) -> list[tuple[float, str]]:
        scores = []
        for item in self.items.values():
            if may(item):
                stored = np.asarray(item.vector).astype(np.float16).astype(np.float64)
                scores.append((float(stored @ question / np.linalg.norm(stored) / np.linalg.norm(question)), item.id))
        # Scores are compared to 9 places, since numpy sums them in another order.
        return sorted(scores, key=lambda one: (-round(one[0], 9), one[1]))


def made(number: int, seed: int = 0) -> Item:
    vector = np.random.default_rng((number % 90, seed)).normal(size=DIMENSION)  # of each there are three, equal ones
    return Item(
        id=f"{number:03d}",
        vector=(vector / np.linalg.norm(vector)).astype(np.float32),
        uri=f"file:///{number:03d}",
        modality="image" if number % 2 else "text",
        content_hash=f"{number}-{seed}",
        image_hash=f"picture {number % 40}" if number % 2 else None,
        text=f"word{number % 7}",
        thumbnail=b"jpeg" if number % 2 else None,
        metadata={"n": number, "kind": KINDS[number % 3], **({"odd": True} if number % 5 == 0 else {})},
    )


def exhaust(collection: Collection) -> None:
    """Let searches use the structure whatever it costs, with so much effort that they are exact."""
    keeper = collection.index_keeper()
    assert keeper is not None
    current = keeper._current(collection.snapshot())
    assert current is not None
    index = current[1]
    if index.info.effort is not None:
        most = {"effort": 300, "keep": 128, "deep_effort": 300, "deep_keep": 128}
        index.info = replace(index.info, effort=replace(index.info.effort, **most, seconds=1e-9, deep_seconds=1e-9))


def build(store: Store, kind: str) -> Model:
    """Makes the collection `a`: a table alone, with an index of it, or with one that others have written past."""
    collection = store.create("a", {"fingerprint": "f" * 40, "dimension": DIMENSION, "model": "toy", "view": "meaning"})
    items = {one.id: one for one in (made(number) for number in range(300))}
    if kind in ("table", "served", "ivfpq"):
        collection.upsert(items.values())
        if kind != "table":
            collection.build_index(index="auto" if kind == "served" else "ivfpq")
        return Model(items)
    collection.upsert([one for one in items.values() if int(one.id) < 260])
    collection.build_index(index="ivfpq" if kind == "stale" else "flat")
    items |= {one.id: one for one in (made(number, seed=1) for number in range(40, 80))}
    collection.upsert([one for one in items.values() if int(one.id) >= 260 or 40 <= int(one.id) < 80])
    gone = [f"{number:03d}" for number in range(0, 300, 9)]
    collection.delete(gone)
    for one in gone:
        del items[one]
    if kind == "compacted":
        collection.optimize()
    return Model(items)


def opened(folder: Path, kind: str) -> Collection:
    collection = Store(folder).open("a")
    if kind in ("served", "ivfpq", "stale"):
        exhaust(collection)
    assert (collection.index_info() is None) == (kind == "table")
    return collection


@pytest.fixture(scope="module", params=["table", "served", "ivfpq", "stale", "compacted"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Model]:
    folder = tmp_path_factory.mktemp("whole") / "db"
    return folder, request.param, build(Store(folder), request.param)


@pytest.fixture(scope="module")
def stored(whole: tuple[Path, str, Model]) -> tuple[Collection, Model]:
    """For tests that write nothing."""
    folder, kind, model = whole
    return opened(folder, kind), model


@pytest.fixture
def own(whole: tuple[Path, str, Model], tmp_path: Path) -> tuple[Collection, Model]:
    """For tests that write: a copy."""
    folder, kind, model = whole
    shutil.copytree(folder, tmp_path / "db")
    return opened(tmp_path / "db", kind), model


def questions(count: int = 12) -> list[np.ndarray]:
    draw = np.random.default_rng(7)
    return [draw.normal(size=DIMENSION) for _ in range(count)]


def same(hits: Hits, expected: list[tuple[float, str]]) -> None:
    assert [hit.item.id for hit in hits] == [id_ for _, id_ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [score for score, _ in expected], atol=1e-6)


def test_the_nearest_in_order(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    for question in questions():
        right = model.ranked(question)
        same(collection.search(question), right[:10])
        same(collection.search(question, limit=1), right[:1])
        same(collection.search(question, limit=1000), right)
        assert collection.search(question).total == len(right)


def test_items_come_whole(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    for hit in collection.search(questions()[0], limit=300):
        expected = model.items[hit.item.id]
        for name in ("modality", "uri", "text", "content_hash", "image_hash", "metadata"):
            assert getattr(hit.item, name) == getattr(expected, name)
        assert (hit.item.thumbnail, hit.item.vector) == (None, None)
        assert hit.item.indexed_at is not None
    assert {
        hit.item.id: hit.item.thumbnail for hit in collection.search(questions()[0], limit=300, thumbnails=True)
    } == {id_: one.thumbnail for id_, one in model.items.items()}
    held = collection.get(["001"])["001"]
    (hit,) = collection.search(held.vector if held.vector is not None else np.ones(DIMENSION), limit=1, filter="n = 1")
    assert hit.item.indexed_at == held.indexed_at


def test_pages_join(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    for question in questions(3):
        whole = model.ranked(question)
        for size in (1, 7, 50):
            wanted: list[Any] = []
            for offset in range(0, 60, size):
                wanted += collection.search(question, limit=size, offset=offset)
            assert [hit.item.id for hit in wanted] == [id_ for _, id_ in whole[: len(wanted)]]


def test_pages_of_one_version_join_while_others_write(own: tuple[Collection, Model], item: Make) -> None:
    collection, model = own
    question = questions()[0]
    whole = model.ranked(question)
    first = collection.search(question, limit=20)
    collection.upsert([item("new", question, metadata={"n": 1})])
    collection.delete([hit.item.id for hit in first[:5]])
    second = collection.search(question, limit=20, offset=20, version=first.version)
    assert second.version == first.version
    same(second, whole[20:40])
    same(collection.search(question, limit=20, version=first.version), whole[:20])
    assert collection.search(question)[0].item.id == "new"
    with pytest.raises(VersionNotFound, match="9999"):
        collection.search(question, version=9999)


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ("n < 150", lambda item: item.metadata["n"] < 150),
        ("n < 30", lambda item: item.metadata["n"] < 30),
        ("n = 77", lambda item: item.metadata["n"] == 77),
        ("n > 1000", lambda item: False),
        ("kind = red and not odd = true", lambda item: item.metadata["kind"] == "red" and "odd" not in item.metadata),
        ("modality = image", lambda item: item.modality == "image"),
        ("text contains WORD3", lambda item: item.text == "word3"),
    ],
)
def test_filters(stored: tuple[Collection, Model], words: str, may: Callable[[Item], bool]) -> None:
    collection, model = stored
    for question in questions(4):
        right = model.ranked(question, may)
        found = collection.search(question, filter=words, limit=20)
        same(found, right[:20])
        assert found.total == len(right)
        same(collection.search(question, filter=words, limit=300, offset=5), right[5:])


def test_floor_and_exclusions(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    for question in questions(4):
        right = model.ranked(question)
        floor = right[25][0] - 1e-6
        same(collection.search(question, min_score=floor, limit=100), [one for one in right if one[0] >= floor])
        assert collection.search(question, min_score=1.1) == []
        without = [id_ for _, id_ in right[:3]]
        same(collection.search(question, exclude_ids=without), right[3:13])
        images = {model.items[id_].image_hash for _, id_ in right[:4]} - {None}
        kept = [one for one in right if model.items[one[1]].image_hash not in images]
        same(collection.search(question, exclude_image_hashes=images, limit=30), kept[:30])


def test_one_hit_a_group(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    for question in questions(4):
        for field, key in (("kind", lambda item: item.metadata["kind"]), ("image_hash", lambda item: item.image_hash)):
            seen, right = set(), []
            for score, id_ in model.ranked(question):
                group = key(model.items[id_])
                if group is None or group not in seen:
                    right.append((score, id_))
                    seen.add(group)
            same(collection.search(question, group_by=field, limit=15), right[:15])
            same(collection.search(question, group_by=field, limit=15, offset=3), right[3:18])
    with pytest.raises(BadSearch, match="no such field"):
        collection.search(questions()[0], group_by="colour")


@pytest.mark.parametrize("least", [1.0, 0.9, 0.3])
def test_copies_are_folded_into_the_best(stored: tuple[Collection, Model], least: float) -> None:
    collection, model = stored
    unit = {
        id_: (vector := np.asarray(one.vector).astype(np.float16).astype(np.float64)) / np.linalg.norm(vector)
        for id_, one in model.items.items()
    }
    for question in questions(4):
        right: list[tuple[float, str]] = []
        for score, id_ in model.ranked(question):
            if all(float(unit[id_] @ unit[one]) < least - 1e-6 for _, one in right):
                right.append((score, id_))
        assert 1 < len(right) < len(model.items)
        same(collection.search(question, fold_copies=least, limit=100), right[:100])
        pages = [collection.search(question, fold_copies=least, limit=4, offset=offset) for offset in range(0, 12, 4)]
        same([hit for page in pages for hit in page], right[:12])
    both = collection.search(questions()[0], keywords="word3", fold_copies=least, limit=10)
    near = [unit[hit.item.id] for hit in both]
    assert all(float(one @ other) < least for place, one in enumerate(near) for other in near[:place])


def test_diversity(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    unit = {
        id_: (vector := np.asarray(one.vector).astype(np.float16).astype(np.float64)) / np.linalg.norm(vector)
        for id_, one in model.items.items()
    }
    for question in questions(4):
        near = {id_: score for score, id_ in model.ranked(question)[:160]}
        chosen: list[str] = []
        while len(chosen) < 12:  # by the textbook
            chosen.append(
                max(
                    (id_ for id_ in near if id_ not in chosen),
                    key=lambda id_: round(
                        0.5 * near[id_] - 0.5 * max([float(unit[id_] @ unit[one]) for one in chosen], default=0), 6
                    ),
                )
            )
        found = collection.search(question, diversity=0.5, limit=12)
        likeness = [float(unit[hit.item.id] @ unit[id_]) for hit, id_ in zip(found, chosen, strict=True)]
        assert min(likeness) > 1 - 1e-5, "the same, or an equal vector"
        pages = [
            hit.item.id
            for offset in (0, 5)
            for hit in collection.search(question, diversity=0.5, limit=5, offset=offset)
        ]
        assert pages == [hit.item.id for hit in found][:10]
        assert found[0].score == pytest.approx(max(near.values()))


def test_batches(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    asked = questions()
    for found, question in zip(collection.search_batch(asked, limit=15, offset=2), asked, strict=True):
        same(found, model.ranked(question)[2:17])
    few = collection.search_batch(asked, filter="n < 30")
    for found, question in zip(few, asked, strict=True):
        same(found, model.ranked(question, lambda item: item.metadata["n"] < 30)[:10])
    assert collection.search_batch([]) == []


def test_bad_questions(stored: tuple[Collection, Model]) -> None:
    collection, _ = stored
    vectors: list[Any] = [np.zeros(DIMENSION), np.full(DIMENSION, np.nan), np.ones(DIMENSION + 1)]
    for wrong in [*vectors, np.ones((1, DIMENSION)), ["a"] * DIMENSION, {}, [[1], [2, 3]]]:
        with pytest.raises(BadItem):
            collection.search(wrong)
    wrong_search: dict[str, list[Any]] = {
        "limit": [-1, 10_001, "5", None, 2.5, True],
        "offset": [-1, 10**20, "1", None],
        "diversity": [1.5, -0.1, "0.1", None, float("nan")],
        "version": [-1, 0, 2**70, 1.5, True, "1"],
        "min_score": ["0.5", float("nan")],
        "group_by": [5],
        "fold_copies": [1.5, -0.1, "0.9", float("nan")],
        "keywords": [5, ["a"]],
        "exclude_ids": ["i1", [5], None, [["x"]]],
        "fusion": ["sum", None],
        "keyword_weight": ["a", 2],
    }
    for named in [{name: value} for name, values in wrong_search.items() for value in values]:
        with pytest.raises(BadSearch, match="expected"):
            collection.search(np.ones(DIMENSION), **named)
    with pytest.raises(FilterError, match="colour"):
        collection.search(np.ones(DIMENSION), filter="colour = red")
    with pytest.raises(TypeError):
        collection.search(np.ones(DIMENSION), colour="red")


def by_words(model: Model, words: set[str]) -> list[str]:
    """Every matching text has one word of many, so BM25 is a matter of how rare it is: and of ids, among equals."""
    matching = [one for one in model.items.values() if one.text in words]
    often = {word: sum(one.text == word for one in model.items.values()) for word in words}
    return [one.id for one in sorted(matching, key=lambda one: (often[str(one.text)], one.id))]


def test_what_comes_with_hits_is_of_their_version(own: tuple[Collection, Model]) -> None:
    collection, model = own
    question = questions()[0]
    before = collection.search(question, limit=30, thumbnails=True)
    collection.upsert([replace(model.items[hit.item.id], thumbnail=b"new", text="new") for hit in before])
    again = collection.search(question, limit=30, thumbnails=True, version=before.version)
    assert [hit.item for hit in again] == [hit.item for hit in before]
    (id_,) = collection.get([before[0].item.id], version=before.version)
    assert collection.get([id_], version=before.version)[id_].text == before[0].item.text
    assert collection.get([id_])[id_].text == "new"


def test_diversity_weighs_words_as_it_weighs_similarity(stored: tuple[Collection, Model]) -> None:
    collection, _ = stored
    plain = [hit.item.id for hit in collection.search(questions()[0], keywords="word3", limit=10)]
    a_little = [hit.item.id for hit in collection.search(questions()[0], keywords="word3", limit=10, diversity=0.02)]
    assert a_little[0] == plain[0]
    assert len(set(a_little) & set(plain)) >= 7


def test_keywords_alone(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    found = collection.search(keywords="word3", limit=200)
    assert sorted(hit.item.id for hit in found) == sorted(by_words(model, {"word3"}))
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    few = collection.search(keywords="word3", filter="n < 30", limit=200)
    assert {hit.item.id for hit in few} == {id_ for id_ in by_words(model, {"word3"}) if int(id_) < 30}
    joined = [hit for offset in range(0, 60, 7) for hit in collection.search(keywords="word3", limit=7, offset=offset)]
    assert joined == list(found)[: len(joined)]
    assert collection.search(keywords="nowhere") == []
    with pytest.raises(BadSearch, match="expected one of them"):
        collection.search()


def test_hybrid(stored: tuple[Collection, Model]) -> None:
    collection, model = stored
    question = questions()[0]
    near = [id_ for _, id_ in model.ranked(question)]
    words = [hit.item.id for hit in collection.search(keywords="word3", limit=300)]
    scores: dict[str, float] = {}
    for ranking in (near, words):
        for rank, id_ in enumerate(ranking[:160], start=1):
            scores[id_] = scores.get(id_, 0) + 1 / (60 + rank)
    right = sorted(scores, key=lambda id_: (-scores[id_], id_))
    found = collection.search(question, keywords="word3", limit=50)
    assert [hit.item.id for hit in found] == right[:50]
    assert [hit.score for hit in found] == pytest.approx([scores[id_] for id_ in right[:50]])
    whole = [
        hit.item.id
        for offset in range(0, 320, 40)
        for hit in collection.search(question, keywords="word3", limit=40, offset=offset)
    ]
    assert sorted(whole) == sorted(model.items), "in the end everything comes, once"
    assert [hit.item.id for hit in collection.search(question, keywords="word3", filter="n < 30", limit=300)] != []
    only_words = collection.search(question, keywords="word3", fusion="weighted", keyword_weight=1.0, limit=5)
    assert {hit.item.text for hit in only_words} == {"word3"}
    only_near = collection.search(question, keywords="word3", fusion="weighted", keyword_weight=0.0, limit=5)
    assert [hit.item.id for hit in only_near] == near[:5]
    for wrong in ({"fusion": "sum"}, {"keyword_weight": 2}):
        with pytest.raises(BadSearch, match="expected"):
            collection.search(question, keywords="a", **wrong)
