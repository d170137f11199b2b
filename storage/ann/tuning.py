"""Tunes the search parameters of an ANN index to a recall, measured on sampled queries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

QUERIES, DEEP_QUERIES = 240, 60
NEAR, DEEP = 10, 160
"""Depths that are tuned for; parameters for other depths are interpolated and extrapolated."""
NOISE = 1.0
"""Distance of a synthetic query from a stored vector, as a multiple of the mean distance of two stored vectors: as far
as texts may lie from images. Parameters that suffice for these suffice for nearer queries."""
MARGIN = 0.5
"""Share of the misses that the goal allows and tuning does not use: a margin for queries outside the sample."""
SAME_SCORE = 1e-6
"""Scores this close count as tied: float32 sums cannot tell them apart."""
KEEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
TRIED = (128, 64, 32, 16, 8, 4)
"""Candidates per hit for which the number of probes is searched; finer steps follow once the probes are known."""
BLOCK = 16384  # rows compared at a time


@dataclass(frozen=True, kw_only=True)
class SearchParams:
    """Search parameters of an IVF index.

    Args:
        probes: lists to read (nprobe) for the 10 nearest.
        keep: candidates per hit to re-rank exactly (k_factor).
        deep_probes, deep_keep: the same for the 160 nearest.
    """

    probes: int
    keep: int
    deep_probes: int
    deep_keep: int

    def at(self, depth: int, lists: int) -> tuple[int, int]:
        """Probes and keep for the `depth` nearest in an index of that many lists."""
        if depth <= NEAR:
            return min(self.probes, lists), self.keep
        growth = log(depth / NEAR) / log(DEEP / NEAR)
        probes = self.probes * (max(self.deep_probes, self.probes) / self.probes) ** growth
        return min(ceil(probes), lists), self.deep_keep if depth >= DEEP else max(self.keep, self.deep_keep)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The cheapest parameters that reach the goal, None if none do, and their recall@10."""

    effort: SearchParams | None
    recall: float


def tune(lists: Any, flat: Any, vectors: NDArray[np.float16], goal: float) -> Tuned:
    """Find the cheapest parameters whose recall over sampled queries reaches the goal.

    Args:
        lists: FAISS's IVF index of n vectors.
        flat: FAISS's flat index of the same vectors.
        vectors: the same vectors, float16 (n, d).
    """
    import faiss

    queries = sample_queries(vectors)
    best = exact_scores(vectors, queries, DEEP)
    wanted = goal + MARGIN * (1 - goal)
    refined = faiss.IndexRefine(lists, flat)

    def recall(probes: int, keep: int, depth: int) -> float:
        some = len(queries) if depth == NEAR else DEEP_QUERIES  # the deep ones have many neighbors each
        scores, _ = refined.search(queries[:some], depth, params=faiss_params(lists, probes, keep))
        return _found(scores, best[:some], depth)

    ladder, cost = _ladder(_list_count(lists)), partial(_cost, lists, vectors.shape)
    near, deep = (
        _cheapest(partial(recall, depth=depth), partial(cost, depth=depth), ladder, wanted) for depth in (NEAR, DEEP)
    )
    if near is None or deep is None:
        return Tuned(effort=None, recall=1.0)
    params = SearchParams(probes=near[0], keep=near[1], deep_probes=max(near[0], deep[0]), deep_keep=deep[1])
    return Tuned(effort=params, recall=recall(*near, NEAR))


def _found(scores: Vectors, best: Vectors, depth: int) -> float:
    """Recall: the share of the `depth` best scores (m, ...) that is among those found (m, depth)."""
    depth = min(depth, best.shape[1])
    border = best[:, depth - 1 : depth] - SAME_SCORE
    return float(np.mean(np.minimum((scores >= border).sum(axis=1), depth) / depth))


def _list_count(lists: Any) -> int:
    """Number of lists."""
    import faiss

    return int(faiss.extract_index_ivf(lists).nlist)


def faiss_params(lists: Any, probes: int, keep: float) -> Any:
    """The parameters as FAISS takes them."""
    import faiss

    inner = faiss.SearchParametersIVF(nprobe=probes)
    if isinstance(lists, faiss.IndexPreTransform):
        inner = faiss.SearchParametersPreTransform(index_params=inner)
    return faiss.IndexRefineSearchParameters(k_factor=keep, base_index_params=inner)


def sample_queries(vectors: NDArray[np.float16], count: int = QUERIES, seed: int = 0) -> Vectors:
    """Synthetic queries: float32 (m, d), of unit length.

    Each is a sampled row moved by NOISE times the difference of two other rows, so the noise has the distribution of
    the data. (Noise in random directions would not make neighbors hard to tell apart.)
    """
    draw = np.random.default_rng(seed)
    row, one, other = (vectors[draw.integers(0, len(vectors), count)].astype(np.float32) for _ in range(3))
    moved = row + np.float32(NOISE) * (one - other)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    unit: Vectors = (np.where(length > 0, moved, row) / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def exact_scores(vectors: NDArray[np.float16], queries: Vectors, depth: int) -> Vectors:
    """The scores of the nearest rows of each query, highest first: float32 (m, depth or n)."""
    best = np.empty((len(queries), 0), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        best = np.hstack([best, queries @ vectors[start : start + BLOCK].astype(np.float32).T])
        if best.shape[1] > depth:
            best = -np.partition(-best, depth - 1, axis=1)[:, :depth]
    return -np.sort(-best, axis=1)


def _cost(lists: Any, shape: tuple[int, int], probes: int, keep: int, depth: int) -> float:
    """Estimated time of a search in nanoseconds: codes that are read, and rows that are re-ranked exactly.

    On two cores a code of 384 bits took 37 ns and 160 of 447 lists of 512 bits 1.2 ms with 240 rows of 4,096 numbers
    (`python benchmarks/search.py`, 384x200000 and 4096x50000, "faiss on our index").
    """
    import faiss

    count, dimension = shape
    bits = int(faiss.extract_index_ivf(lists).d)
    return probes * count / _list_count(lists) * bits / 12 + keep * depth * (100 + dimension / 3)


def _cheapest(
    recall: Callable[[int, int], float], cost: Callable[[int, int], float], ladder: Sequence[int], wanted: float
) -> tuple[int, int] | None:
    """The cheapest probes and candidates per hit that reach a recall; None if none do.

    Recall grows with both, so each is bisected; fewer candidates need at least as many probes, and parameters that cost
    more than the best so far are not tried.
    """
    best: tuple[int, int] | None = None
    start = 0
    for keep in TRIED:
        end = len(ladder) if best is None else bisect_left(ladder, cost(*best), key=lambda probes: cost(probes, keep))
        at = (
            bisect_left(ladder, wanted, lo=start, hi=end, key=lambda probes: recall(probes, keep))
            if start < end
            else end
        )
        if at < end:
            best, start = (ladder[at], keep), at
        if best is None:
            return None
    assert best is not None
    probes, keep = best
    fewer = [one for one in KEEPS if keep / 2 < one < keep]
    enough = bisect_left(fewer, wanted, key=lambda one: recall(probes, one))
    return probes, [*fewer, keep][enough]


def _ladder(lists: int) -> list[int]:
    """Numbers of probes to try: from one list to all, each a fifth more than the last."""
    steps, probes = [], 1.0
    while round(probes) < lists:
        steps.append(round(probes))
        probes = max(probes + 1, probes * 1.2)
    return [*dict.fromkeys(steps), lists]
