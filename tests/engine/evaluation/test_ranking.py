"""Ranks, worked out by hand and against a plain sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.evaluation.ranking import best_ranks, recalls, top

GALLERY = np.eye(3, dtype=np.float32)


def test_ranks_by_hand() -> None:
    queries = np.array([[0.9, 0.4, 0.1], [0.1, 0.2, 0.9], [0.5, 0.5, 0.0]], dtype=np.float32)
    assert best_ranks(queries, GALLERY, [[0], [0], [1]]).tolist() == [0, 2, 1], "of equal scores the earlier is first"
    assert best_ranks(queries, GALLERY, [[2, 1], [0, 1], [0, 1]]).tolist() == [1, 1, 0]
    assert best_ranks(queries, GALLERY, [[1], [1], [1]], [[0], [2], [0]]).tolist() == [0, 0, 0]


def test_recalls() -> None:
    assert recalls(np.array([0, 1, 4, 9]), (1, 5, 10)) == {"R@1": 25.0, "R@5": 75.0, "R@10": 100.0}


def test_a_collapsed_model_gets_chance_and_no_more() -> None:
    same = np.ones((10, 3), dtype=np.float32) / 3**0.5
    assert recalls(best_ranks(same, same, [[i] for i in range(10)]), (1, 5)) == {"R@1": 10.0, "R@5": 50.0}


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 6))
def test_as_a_stable_sort_would_have_it(seed: int, gallery: int, queries: int) -> None:
    draw = np.random.default_rng(seed)
    entries = draw.integers(-1, 2, (gallery, 2)).astype(np.float32)
    asked = draw.integers(-1, 2, (queries, 2)).astype(np.float32)
    relevant = [draw.choice(gallery, draw.integers(1, gallery + 1), replace=False).tolist() for _ in range(queries)]
    masked = [[int(draw.integers(gallery))] for _ in range(queries)]
    kept = [[i for i in right if i not in out] or right for right, out in zip(relevant, masked, strict=True)]
    masked = [[i for i in out if i not in right] for right, out in zip(kept, masked, strict=True)]
    found = top(asked, entries, gallery, masked)
    for row, right, rank in zip(found.tolist(), kept, best_ranks(asked, entries, kept, masked).tolist(), strict=True):
        assert rank == min(row.index(i) for i in right)
