"""Tunes the search parameters of a structure to a recall, measured on sampled queries."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.rows import Addresses, RowSet
from oneword.storage.ann.structure import DEEP, NEAR, SearchParams, Structure

Vectors = NDArray[np.float32]

QUERIES = 400
DEEP_SHARE = 4  # one query of so many is asked for the 160 nearest: each has many neighbors
TIMED = 40  # queries
NOISE, FLAT, SHIFT = 0.4, 0.4, 0.25
"""A synthetic query is a stored vector and three displacements, as texts are from images: the difference of two stored
vectors, a random direction, and a direction that all queries share. In lengths of a mean difference. Recall is then as
that over the questions of benchmarks/vectors.py, for lists and for graphs (docs/benchmarks.md). Differences alone lie
between clusters, where a graph finds far less than for real questions."""
MARGIN = 0.7
"""Share of the misses that the goal allows and tuning does not use: a margin for queries outside the sample."""
SAME_SCORE = 1e-6
"""Scores this close count as tied: float32 sums cannot tell them apart."""
KEEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Candidates per hit that are tried; for the 160 nearest up to 16."""
WORSE = 2  # efforts that take longer than the best so far, after which none is tried
TIED = 2
"""Multiple of the depth within which rows that tie with the last count as the nearest."""
BLOCK = 16384  # rows compared at a time
ROWS_TIMED, EVERY = 2**16, 16  # one row of so many, as under a filter


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The quickest parameters that reach the goal, None if none do, and their recall@10."""

    effort: SearchParams | None
    recall: float


@dataclass(frozen=True, kw_only=True)
class _Setting:
    effort: int
    keep: int
    seconds: float
    recall: float


def tune(structure: Structure, vectors: NDArray[np.float16], goal: float, *, queries: int = QUERIES) -> Tuned:
    """Find the quickest parameters whose recall over sampled queries reaches the goal.

    Args:
        vectors: those of the structure, float16 (n, d).
        queries: how many are sampled.
    """
    asked = sample_queries(vectors, queries)
    wanted = goal + MARGIN * (1 - goal)
    nearest, deeper = nearest_rows(vectors, asked, (NEAR, DEEP))
    near = _quickest(structure, asked, nearest, NEAR, wanted)
    few = queries // DEEP_SHARE
    deep = near and _quickest(structure, asked[:few], deeper[:few], DEEP, wanted)
    if near is None or deep is None:
        return Tuned(effort=None, recall=1.0)
    params = SearchParams(
        effort=near.effort,
        keep=near.keep,
        seconds=near.seconds,
        deep_effort=deep.effort,
        deep_keep=deep.keep,
        deep_seconds=deep.seconds,
        row_seconds=_row_seconds(structure, asked[0]),
    )
    return Tuned(effort=params, recall=near.recall)


def sample_queries(vectors: NDArray[np.float16], count: int = QUERIES, seed: int = 0) -> Vectors:
    """Synthetic queries: float32 (m, d), of unit length.

    Each is a sampled row, displaced by NOISE, FLAT and SHIFT.
    """
    draw = np.random.default_rng(seed)
    row, one, other = (vectors[draw.integers(0, len(vectors), count)].astype(np.float32) for _ in range(3))
    directions = draw.standard_normal((count + 1, vectors.shape[1]), np.float32)
    directions *= np.linalg.norm(one - other, axis=1).mean() / np.linalg.norm(directions, axis=1, keepdims=True)
    moved = row + NOISE * (one - other) + FLAT * directions[1:] + SHIFT * directions[0]
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    unit: Vectors = (np.where(length > 0, moved, row) / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def nearest_rows(vectors: NDArray[np.float16], queries: Vectors, depths: Sequence[int]) -> list[Addresses]:
    """For each depth the rows nearest to each query, and those that tie with the last: int64 (m, ...), -1 for none."""
    scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    count = TIED * max(depths)
    for start in range(0, len(vectors), BLOCK):
        block = queries @ vectors[start : start + BLOCK].astype(np.float32).T
        best = np.argpartition(-block, min(count, block.shape[1]) - 1, axis=1)[:, :count]
        scores = np.hstack([scores, np.take_along_axis(block, best, 1)])
        rows = np.hstack([rows, start + best])
        order = np.argsort(-scores, axis=1)[:, :count]
        scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    borders = [scores[:, min(depth, scores.shape[1]) - 1, None] - SAME_SCORE for depth in depths]
    return [
        np.where(scores >= border, rows, -1)[:, : TIED * depth] for border, depth in zip(borders, depths, strict=True)
    ]


def _quickest(structure: Structure, queries: Vectors, nearest: Addresses, depth: int, wanted: float) -> _Setting | None:
    """The quickest setting that reaches a recall; None if none does.

    An effort needs candidates enough that the nearest are among them; recall grows with both. So the least effort that
    can do is bisected, and more effort, which needs fewer candidates, is tried for as long as it is quicker.
    """
    keeps = [keep for keep in KEEPS if keep * depth <= KEEPS[-1] * NEAR * (1 if depth == NEAR else 4)]
    truth = min(depth, structure.rows)

    @cache
    def least_keep(effort: int) -> tuple[int, float] | None:
        count = min(keeps[-1] * depth, structure.most(effort), structure.rows)
        if count < truth:
            return None
        proposed = structure.proposed(queries, count, effort)
        among = np.stack([np.isin(rows, right) & (rows >= 0) for rows, right in zip(proposed, nearest, strict=True)])
        found = np.minimum(among.cumsum(axis=1), truth)
        for keep in keeps:
            recall = float(found[:, min(keep * depth, count) - 1].mean()) / truth
            if recall >= wanted:
                return keep, recall
        return None

    efforts, best, worse = structure.efforts(), None, 0
    for effort in efforts[bisect_left(efforts, True, key=lambda one: least_keep(one) is not None) :]:
        reached = least_keep(effort)
        if reached is None:  # a graph may find less for more effort
            continue
        seconds = _seconds(structure, queries, depth, effort, reached[0])
        if best is None or seconds < best.seconds:
            best, worse = _Setting(effort=effort, keep=reached[0], seconds=seconds, recall=reached[1]), 0
        else:
            worse += 1
        if worse == WORSE:
            break
    return best


def _seconds(structure: Structure, queries: Vectors, depth: int, effort: int, keep: int) -> float:
    """Processor time of a search: of two rounds the quicker one's mean."""
    with one_thread():
        took = []
        for _ in range(2):
            begun = time.thread_time()
            for query in queries[:TIMED]:
                structure.refined(query[None], depth, effort, keep)
            took.append(time.thread_time() - begun)
    return min(took) / min(TIMED, len(queries))


def _row_seconds(structure: Structure, query: Vectors) -> float:
    """Processor time to compare one vector exactly, of rows that a filter lets through."""
    import faiss

    took, compared = 0.0, 0
    with one_thread():
        for start in range(3):  # other rows each time, which are not in the processor's cache
            mask = np.arange(structure.rows) % EVERY == start
            mask[ROWS_TIMED:] = False
            rows = RowSet(mask)
            params = faiss.SearchParameters(sel=rows.selector)
            begun = time.thread_time()
            structure.flat.search(query[None], min(NEAR, rows.count), params=params)
            took += time.thread_time() - begun
            compared += rows.count
    return took / compared


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS's searches and trainings in this thread alone."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
