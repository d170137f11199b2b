"""How hard a search must look for a recall: measured on sampled questions, not guessed."""

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

QUESTIONS, DEEP_QUESTIONS = 240, 60
NEAR, DEEP = 10, 160
"""Depths that are tuned for; between them, and beyond, effort grows as it does from the one to the other."""
FAR = 1.0
"""How far questions lie from what is stored, in distances of two stored vectors: as far as texts may lie from pictures.
What serves these serves nearer ones."""
HELD_BACK = 0.5
"""Share of the misses that the goal allows and tuning does not use: questions to come are not those sampled."""
SAME_SCORE = 1e-6
"""Scores this close are of rows that may stand for each other: float32 sums tell no difference."""
KEEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
TRIED = (128, 64, 32, 16, 8, 4)
"""Candidates that probes are sought for; between them finer steps are taken once the probes are known."""
BLOCK = 16384  # rows compared at a time


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard a search looks.

    Args:
        probes: lists that are read for the 10 nearest.
        keep: candidates, times the hits asked for, that are compared in full.
        deep_probes, deep_keep: the same for the 160 nearest.
    """

    probes: int
    keep: int
    deep_probes: int
    deep_keep: int

    def at(self, depth: int, lists: int) -> tuple[int, int]:
        """Probes and keep for the `depth` nearest, with that many lists there."""
        if depth <= NEAR:
            return min(self.probes, lists), self.keep
        growth = log(depth / NEAR) / log(DEEP / NEAR)
        probes = self.probes * (max(self.deep_probes, self.probes) / self.probes) ** growth
        return min(ceil(probes), lists), self.deep_keep if depth >= DEEP else max(self.keep, self.deep_keep)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The least effort that reaches the goal, and the recall@10 that it reaches; None if none does."""

    effort: Effort | None
    recall: float


def tune(lists: Any, refine: Any, vectors: NDArray[np.float16], goal: float) -> Tuned:
    """Finds the least effort by which sampled questions find the goal's share of their nearest.

    Args:
        lists: FAISS's IVF of n vectors.
        refine: FAISS's flat index of the same.
        vectors: the same, float16 (n, d).
    """
    import faiss

    asked = questions(vectors)
    best = exact_scores(vectors, asked, DEEP)
    wanted = goal + HELD_BACK * (1 - goal)
    both = faiss.IndexRefine(lists, refine)

    def recall(probes: int, keep: int, depth: int) -> float:
        some = len(asked) if depth == NEAR else DEEP_QUESTIONS  # the deep ones have many neighbours each
        scores, _ = both.search(asked[:some], depth, params=parameters(lists, probes, keep))
        return _found(scores, best[:some], depth)

    ladder, cost = _probes(count_of(lists)), partial(_cost, lists, vectors.shape)
    near, deep = (
        _least(partial(recall, depth=depth), partial(cost, depth=depth), ladder, wanted) for depth in (NEAR, DEEP)
    )
    if near is None or deep is None:
        return Tuned(effort=None, recall=1.0)
    effort = Effort(probes=near[0], keep=near[1], deep_probes=max(near[0], deep[0]), deep_keep=deep[1])
    return Tuned(effort=effort, recall=recall(*near, NEAR))


def _found(scores: Vectors, best: Vectors, depth: int) -> float:
    """The share of the `depth` best scores (m, ...) that is among those found (m, depth)."""
    depth = min(depth, best.shape[1])
    border = best[:, depth - 1 : depth] - SAME_SCORE
    return float(np.mean(np.minimum((scores >= border).sum(axis=1), depth) / depth))


def count_of(lists: Any) -> int:
    """How many lists there are."""
    import faiss

    return int(faiss.extract_index_ivf(lists).nlist)


def parameters(lists: Any, probes: int, keep: float) -> Any:
    """As FAISS takes them."""
    import faiss

    inner = faiss.SearchParametersIVF(nprobe=probes)
    if isinstance(lists, faiss.IndexPreTransform):
        inner = faiss.SearchParametersPreTransform(index_params=inner)
    return faiss.IndexRefineSearchParameters(k_factor=keep, base_index_params=inner)


def questions(vectors: NDArray[np.float16], count: int = QUESTIONS, seed: int = 0) -> Vectors:
    """Questions such as may be asked: float32 (m, d), of unit length.

    A sampled row, moved by FAR times what two other rows differ by: so far, and in such directions, as what is stored
    varies in. (In random directions there is nothing that a neighbour could be mistaken for.)
    """
    draw = np.random.default_rng(seed)
    row, one, other = (vectors[draw.integers(0, len(vectors), count)].astype(np.float32) for _ in range(3))
    asked = row + np.float32(FAR) * (one - other)
    length = np.linalg.norm(asked, axis=1, keepdims=True)
    unit: Vectors = (np.where(length > 0, asked, row) / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def exact_scores(vectors: NDArray[np.float16], asked: Vectors, depth: int) -> Vectors:
    """The scores of the nearest rows of each question, highest first: float32 (m, depth or n)."""
    best = np.empty((len(asked), 0), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        best = np.hstack([best, asked @ vectors[start : start + BLOCK].astype(np.float32).T])
        if best.shape[1] > depth:
            best = -np.partition(-best, depth - 1, axis=1)[:, :depth]
    return -np.sort(-best, axis=1)


def _cost(lists: Any, shape: tuple[int, int], probes: int, keep: int, depth: int) -> float:
    """About how long a search takes, in nanoseconds: codes that are read, and rows that are compared in full.

    On two cores a code of 384 bits took 37 ns and 160 of 447 lists of 512 bits 1.2 ms with 240 rows of 4,096 numbers
    (`python benchmarks/search.py`, 384x200000 and 4096x50000, "faiss on our index").
    """
    import faiss

    count, dimension = shape
    bits = int(faiss.extract_index_ivf(lists).d)
    return probes * count / count_of(lists) * bits / 12 + keep * depth * (100 + dimension / 3)


def _least(
    recall: Callable[[int, int], float], cost: Callable[[int, int], float], ladder: Sequence[int], wanted: float
) -> tuple[int, int] | None:
    """Probes and candidates that find enough at the least cost; None if nothing is enough.

    More effort finds more, so what is left is halved at each step, fewer candidates need no fewer probes, and what
    costs more than the best so far is not tried.
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


def _probes(lists: int) -> list[int]:
    """From one list to all, each step a fifth more."""
    steps, probes = [], 1.0
    while round(probes) < lists:
        steps.append(round(probes))
        probes = max(probes + 1, probes * 1.2)
    return [*dict.fromkeys(steps), lists]
