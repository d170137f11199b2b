"""The serving index answers as an exact search over the same vectors does."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.serving.index import ABOUT, ServingIndex

Ranked = list[tuple[float, str]]


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Unit vectors as a table stores them: rounded to float16."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((max(2, count // 100), dimension))
    vectors = centres[draw.integers(0, len(centres), count)] + 1.2 * draw.standard_normal((count, dimension))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float16).astype(np.float32)


def build(vectors: np.ndarray, flat_numbers: int = 2**24) -> ServingIndex:
    ids = [f"item-{(7919 * i) % len(vectors):06d}" for i in range(len(vectors))]  # not in the order of the rows
    stamps = np.arange(len(vectors), dtype=np.int64)
    return ServingIndex.build(ids, stamps, vectors, version=3, created="now", flat_numbers=flat_numbers)


def truth(index: ServingIndex, vectors: np.ndarray, question: np.ndarray, count: int, allowed: np.ndarray) -> Ranked:
    wide = vectors.astype(np.float64)
    unit = question.astype(np.float64) / np.linalg.norm(question.astype(np.float64))
    cosines = (wide * unit).sum(axis=1) / np.sqrt((wide * wide).sum(axis=1))
    pairs = [(score, id_) for score, id_, may in zip(cosines.tolist(), index.ids, allowed, strict=True) if may]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:count]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(6000, 64)


@pytest.fixture(scope="module")
def lists(vectors: np.ndarray) -> ServingIndex:
    return build(vectors, flat_numbers=1000)


def test_it_chooses_by_size_and_measures_itself(vectors: np.ndarray, lists: ServingIndex) -> None:
    assert lists.about.kind.startswith("IVF")
    assert lists.about.recall >= lists.about.goal == 0.99
    flat = build(vectors)
    assert (flat.about.kind, flat.about.recall, flat.about.effort) == ("flat", 1.0, None)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 0.001])
def test_recall_at_every_selectivity(vectors: np.ndarray, lists: ServingIndex, share: float) -> None:
    draw = np.random.default_rng(1)
    allowed = draw.random(len(vectors)) < share
    allowed[:3] = True
    found = []
    for question in clustered(100, 64, seed=2):
        right = truth(lists, vectors, question, 10, allowed)
        got = lists.search(question, 10, None if share == 1 else allowed)
        assert len(got) == len(right)
        permitted = set(lists.ids[allowed])
        assert all(id_ in permitted for _, id_ in got), "what is not allowed is never found"
        found.append(len({id_ for _, id_ in got} & {id_ for _, id_ in right}) / len(right))
    assert np.mean(found) >= 0.99


@given(
    count=st.integers(1, 60),
    wanted=st.integers(1, 80),
    seed=st.integers(0, 50),
    share=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_flat_is_exact_to_the_last_bit(count: int, wanted: int, seed: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    vectors = draw.integers(-1, 2, (count, 3)).astype(np.float32)  # many equal ones
    vectors[(vectors == 0).all(axis=1)] = 1
    index = build(vectors)
    allowed = draw.random(count) < share
    question = draw.standard_normal(3).astype(np.float32)
    everyone = np.ones(count, dtype=bool)
    # SPARE candidates cover ties up to their number; more than that are ordered by rows.
    if count <= 32:
        assert index.search(question, wanted) == truth(index, vectors, question, wanted, everyone)
        assert index.search(question, wanted, allowed) == truth(index, vectors, question, wanted, allowed)
    else:
        scores = [score for score, _ in index.search(question, wanted)]
        assert scores == [score for score, _ in truth(index, vectors, question, wanted, everyone)]


def test_scores_are_those_of_the_stored_vectors(vectors: np.ndarray, lists: ServingIndex) -> None:
    right = {id_: score for score, id_ in truth(lists, vectors, vectors[5], 6000, np.ones(6000, dtype=bool))}
    for score, id_ in lists.search(vectors[5], 20):
        assert score == right[id_]


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("kind", ["flat", "lists"])
def test_saved_and_loaded(tmp_path: Path, vectors: np.ndarray, lists: ServingIndex, mapped: bool, kind: str) -> None:
    index = build(vectors[:200]) if kind == "flat" else lists
    index.save(tmp_path / "index")
    again = ServingIndex.load(tmp_path / "index", mapped=mapped)
    assert again.about == index.about
    assert again.stamps.tolist() == index.stamps.tolist()
    for question in vectors[:20]:
        assert again.search(question, 10) == index.search(question, 10)


def test_an_incomplete_one_is_refused(tmp_path: Path, vectors: np.ndarray) -> None:
    build(vectors[:50]).save(tmp_path / "index")
    said = json.loads((tmp_path / "index" / ABOUT).read_text())
    (tmp_path / "index" / ABOUT).write_text(json.dumps(said | {"rows": 51}))
    with pytest.raises(ValueError, match="expected 51"):
        ServingIndex.load(tmp_path / "index")
    (tmp_path / "index" / "index.faiss").write_bytes(b"torn")
    with pytest.raises((OSError, RuntimeError)):
        ServingIndex.load(tmp_path / "index")


def test_nothing_to_find(vectors: np.ndarray) -> None:
    index = build(vectors[:10])
    assert index.search(vectors[0], 0) == []
    assert index.search(vectors[0], 5, np.zeros(10, dtype=bool)) == []
