from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import BadItem, BadSearch, Collection, Hit, Item, Store, ranking
from oneword.storage.search import Options, SearchOptions


def ids(hits: list[Hit]) -> list[str]:
    return [hit.item.id for hit in hits]


def test_a_search_takes_its_declared_options() -> None:
    """`Options` is for type checkers what the fields of `SearchOptions` are."""
    hints = get_type_hints(SearchOptions)
    assert get_type_hints(Options) == {one.name: hints[one.name] for one in fields(SearchOptions)}


def test_nearest_first_by_cosine(collection: Collection, item: Callable[..., Item]) -> None:
    assert collection.search([1, 0, 0, 0]) == []
    collection.upsert([item("same"), item("near", [1, 1, 0, 0]), item("far", [-1, 0, 0, 0])])
    hits = collection.search([5, 0, 0, 0])  # of any length
    assert ids(hits) == ["same", "near", "far"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, -1], abs=1e-3)


def test_limit_offset_and_floor(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item(f"{n}", [10 - n, n, 0, 0]) for n in range(9)])
    question = [1, 0, 0, 0]
    assert ids(collection.search(question, limit=3)) == ["0", "1", "2"]
    assert ids(collection.search(question, limit=3, offset=7)) == ["7", "8"]
    assert collection.search(question, limit=0) == []
    assert collection.search(question, offset=100) == []
    assert ids(collection.search(question, limit=9, min_score=0.9)) == ["0", "1", "2", "3"]
    assert collection.search(question, min_score=1.1) == []
    for wrong in ({"limit": -1}, {"offset": -1}):
        with pytest.raises(BadSearch, match="from 0 to"):
            collection.search(question, **wrong)


def test_filter_and_exclusions_come_before_the_limit(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert(
        [item(f"{n}", [10 - n, n, 0, 0], metadata={"n": n}, image_hash=f"h{n}" if n < 6 else None) for n in range(9)]
    )
    question = [1, 0, 0, 0]
    assert ids(collection.search(question, limit=2, filter="n > 4")) == ["5", "6"]
    assert ids(collection.search(question, limit=2, exclude_ids=["0", "2", "it's"])) == ["1", "3"]
    assert ids(collection.search(question, exclude_image_hashes={"h0", "h1", "h2", "h3", "h4"})) == list("5678")
    found = collection.search(question, filter="n != 7", exclude_ids=["8"], exclude_image_hashes=["h5"], offset=5)
    assert ids(found) == ["6"]


@pytest.mark.parametrize("vector", [[1, 0, 0], [0, 0, 0, 0], [np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [[1, 0, 0, 0]]])
def test_bad_questions(collection: Collection, vector: Any) -> None:
    with pytest.raises(BadItem, match="searched for"):
        collection.search(vector)


@pytest.mark.parametrize("dimension", [1, 2, 37, 384, 4096])
@pytest.mark.parametrize("cone", [0.0, 3.0])
def test_scores_and_order_are_those_of_the_stored_vectors(
    store: Store, space: dict[str, Any], item: Callable[..., Item], dimension: int, cone: float
) -> None:
    random = np.random.default_rng(dimension)
    vectors = random.normal(size=(300, dimension)) + cone
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    collection = store.create("a", {**space, "dimension": dimension})
    items = [item(f"{n:03}", vectors[n]) for n in range(300)]
    collection.upsert(items)
    question = vectors[7] + 0.1 * random.normal(size=dimension) / dimension**0.5
    question /= np.linalg.norm(question)
    stored = np.stack([one.vector for one in items]).astype(np.float16).astype(np.float64)
    cosines = stored @ question / np.linalg.norm(stored, axis=1)
    hits = collection.search(question, limit=40)
    for hit in hits:
        assert hit.score == pytest.approx(cosines[int(hit.item.id)], abs=1e-6)
        assert hit.score == pytest.approx(vectors[int(hit.item.id)] @ question, abs=1e-3)
    assert ids(hits) == [f"{n:03}" for n in sorted(range(300), key=lambda n: (-round(cosines[n], 7), n))][:40]


def test_lance_distances_are_within_the_error_we_allow(collection: Collection, item: Callable[..., Item]) -> None:
    random = np.random.default_rng(0)
    collection.upsert([item(f"{n}", random.normal(size=4)) for n in range(2000)])
    table = collection._table()
    for _ in range(20):
        question = random.normal(size=4).astype(np.float32)
        question /= np.linalg.norm(question)
        rows = table.nearest(question.astype(np.float16), limit=2000, where=None, columns=["id", "vector"])
        ours = np.array([score for score, _ in ranking.score(rows, question)])
        theirs = 1 - np.array(rows.column("_distance").to_pylist())
        assert np.abs(ours - theirs).max() < ranking.DISTANCE_ERROR


def test_equal_vectors_score_equal_and_go_by_id(collection: Collection, item: Callable[..., Item]) -> None:
    random = np.random.default_rng(1)
    same, step = random.normal(size=4), np.array([0, 0, 0, 0.01])
    names = [f"{n:04}" for n in random.permutation(700)]
    for start in range(0, 700, 100):  # over several files
        collection.upsert([item(name, same) for name in names[start : start + 100]])
    collection.upsert([item("best", same + step)])
    pages = [ids(collection.search(same + 2 * step, limit=50, offset=at)) for at in range(0, 701, 50)]
    assert [name for page in pages for name in page] == ["best", *sorted(names)]


def test_more_ties_than_candidates_are_scanned(
    collection: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_CANDIDATES", 100)
    collection.upsert([item(f"{n:03}") for n in range(500)] + [item("other", [0, 1, 0, 0])])
    assert ids(collection.search([1, 0, 0, 0], limit=3, offset=200)) == ["200", "201", "202"]
    assert ids(collection.search([1, 0, 0, 0], limit=3, filter="id > '300'")) == ["301", "302", "303"]


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 150),
    distinct=st.integers(1, 40),
    page=st.integers(1, 60),
)
def test_paging_has_no_repeats_and_no_holes(seed: int, count: int, distinct: int, page: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(distinct, 8)) * 0.02 + random.normal(size=8)  # many near ties
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [
        Item(id=f"{n}", modality="text", uri="u", content_hash="h", vector=vectors[random.integers(distinct)])
        for n in range(count)
    ]
    question = vectors[0] + 0.01 * random.normal(size=8)
    with tempfile.TemporaryDirectory() as folder:
        space = {"fingerprint": "f", "dimension": 8, "model": "m", "view": "v"}
        collection = Store(folder).create("a", space)
        for part in np.array_split(np.arange(count), 3):
            collection.upsert([items[n] for n in part])
        whole = collection.search(question, limit=count + 5)
        assert sorted(ids(whole)) == sorted(one.id for one in items)
        assert [(-hit.score, hit.item.id) for hit in whole] == sorted((-hit.score, hit.item.id) for hit in whole)
        paged = [hit for at in range(0, count, page) for hit in collection.search(question, limit=page, offset=at)]
        assert [(hit.item.id, hit.score) for hit in paged] == [(hit.item.id, hit.score) for hit in whole]
