"""The nearest rows, exactly: the same scores in the same order, however they were read."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.database import Table
from storage.schema import vectors_of

# LanceDB rounds the question to float16 and sums in float32. Rounding moves a cosine by at most
# 2^-11 (half a unit in the last place, over unit vectors); twice that leaves room for the sums.
DISTANCE_ERROR = 1e-3

# Past this many candidates (ties by the thousand) reading all vectors once beats asking again.
MOST_CANDIDATES = 8192

# Rows scored at a time: bounds the float64 copies to 256 x d x 8 bytes.
SCORE_ROWS = 256

Ranked = tuple[float, str]


def nearest(
    table: Table, question: NDArray[np.float32], *, count: int, where: str | None, floor: float | None = None
) -> list[Ranked]:
    """The `count` rows of highest cosine to `question` (d,) as (score, id): score descending, then id.

    LanceDB proposes, float64 disposes: candidates are scored again from their stored vectors, and
    there are enough of them only when nothing left out could, by DISTANCE_ERROR, still belong.
    floor: stop early where nothing left out can reach this score.
    """
    fetch = count + max(32, count // 4)
    while fetch <= MOST_CANDIDATES:
        rows = table.nearest(question.astype(np.float16), limit=fetch, where=where, columns=["id", "vector"])
        ranked = sorted(score(rows, question), key=order)
        if rows.num_rows < fetch:
            return ranked[:count]
        reach = 1.0 - max(rows.column("_distance").to_pylist()) + DISTANCE_ERROR
        if ranked[count - 1][0] > reach or (floor is not None and reach < floor):
            return ranked[:count]
        fetch *= 4
    return scan(table, question, count=count, where=where)


def scan(table: Table, question: NDArray[np.float32], *, count: int, where: str | None) -> list[Ranked]:
    """As `nearest`, by reading every vector the condition lets through; memory grows with `count` only."""
    best: list[Ranked] = []
    for batch in table.rows(["id", "vector"], where=where):
        best = heapq.nsmallest(count, [*best, *score(batch, question)], key=order)
    return best


def score(rows: pa.RecordBatch | pa.Table, question: NDArray[np.float32]) -> Iterable[Ranked]:
    """(cosine, id) of each row.

    Each row is multiplied and summed by itself in float64. A matrix product would be quicker, but
    its rounding depends on a row's neighbours, and equal vectors must score equal.
    """
    ids: list[str] = rows.column("id").to_pylist()
    yield from zip(cosines(vectors_of(rows), question), ids, strict=True)


def cosines(vectors: NDArray[np.floating[Any]], question: NDArray[np.float32]) -> Iterator[float]:
    """The cosine of each row of `vectors` (n, d) with `question` (d,), by the one formula that ranks."""
    unit = question.astype(np.float64)
    unit /= np.linalg.norm(unit)
    for start in range(0, len(vectors), SCORE_ROWS):
        part = vectors[start : start + SCORE_ROWS].astype(np.float64)
        yield from ((part * unit).sum(axis=1) / np.sqrt((part * part).sum(axis=1))).tolist()


def order(ranked: Ranked) -> tuple[float, str]:
    """Sort key: highest score first, then the id."""
    return -ranked[0], ranked[1]
