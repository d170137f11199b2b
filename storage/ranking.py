"""Exact nearest neighbors: the same scores in the same order, however the rows were read."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.cancellation import check
from oneword.storage.item import Item
from oneword.storage.schema import to_items, vectors_of
from oneword.storage.table import Table

# LanceDB rounds the query to float16 and sums in float32. Rounding moves a cosine by at most 2^-11 (half a unit in the
# last place, over unit vectors); twice that leaves room for the sums.
DISTANCE_ERROR = 1e-3

# Past this many candidates (ties by the thousand) one scan of all vectors beats another query.
MOST_CANDIDATES = 8192

# Rows scored at a time: bounds the float64 copies to 256 x d x 8 bytes.
SCORE_ROWS = 256

Ranked = tuple[float, Any]
"""A score and the key of a row; only the ranking that returned a key can interpret it."""


class Ranking(Protocol):
    """All rows that may be hits, ordered by how well they match one query, at one version of a table.

    depths: numbers of rows to ask for, in turn, until there are enough. The order made of the blocks between them does
    not depend on how many rows are wanted, even where `best` is approximate: pages have no repeats or holes.
    cosines: whether scores are cosine similarities.
    """

    @property
    def depths(self) -> Sequence[int]: ...

    @property
    def cosines(self) -> bool: ...

    def best(self, count: int) -> list[Ranked]:
        """The `count` best as (score, key), highest first, ties by id."""
        ...

    def total(self) -> int | None:
        """Number of rows; None if counting them takes as long as finding them."""
        ...

    def items(self, keys: Sequence[Any]) -> list[Item]:
        """The items of keys, without thumbnails and vectors."""
        ...

    def vectors(self, keys: Sequence[Any]) -> NDArray[np.float32]:
        """The stored vectors of keys, float32 (keys, d)."""
        ...


@dataclass(frozen=True, kw_only=True)
class TableRanking:
    """The part of a Ranking whose keys are ids that reads items and vectors from the table.

    Args:
        table: at one version.
        columns: of its items.
        where: SQL.
        depths: arbitrary where the order is exact.
    """

    table: Table
    columns: Sequence[str]
    where: str | None
    depths: Sequence[int]

    def total(self) -> int | None:
        """Number of rows that pass the condition."""
        return self.table.count(self.where)

    def items(self, keys: Sequence[str]) -> list[Item]:
        """The items of ids, without thumbnails and vectors."""
        batches = self.table.rows_of("id", keys, self.columns)
        found = {item.id: item for batch in batches for item in to_items(batch)}
        return [found[key] for key in keys]

    def vectors(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """The stored vectors of ids, float32 (keys, d)."""
        found = {
            key: vector
            for batch in self.table.rows_of("id", keys, ("id", "vector"))
            for key, vector in zip(batch["id"].to_pylist(), vectors_of(batch).astype(np.float32), strict=True)
        }
        return np.stack([found[key] for key in keys])


@dataclass(frozen=True, kw_only=True)
class ExactRanking(TableRanking):
    """A Ranking that compares every vector of the table.

    Args:
        query: float32 (d,).
        floor: lower scores are not needed.
    """

    cosines = True

    query: NDArray[np.float32]
    floor: float | None

    def best(self, count: int) -> list[Ranked]:
        """The `count` nearest rows as (cosine, id)."""
        return nearest(self.table, self.query, count=count, where=self.where, floor=self.floor)


def nearest(
    table: Table, query: NDArray[np.float32], *, count: int, where: str | None, floor: float | None = None
) -> list[Ranked]:
    """The `count` rows of highest cosine to `query` (d,) as (score, id): score descending, then id.

    LanceDB proposes candidates, which are scored again in float64 from their stored vectors. There are enough of them
    when no row left out could, by DISTANCE_ERROR, belong to the result.
    floor: stop where no row left out can reach this score.
    """
    fetch = count + max(32, count // 4)
    while fetch <= MOST_CANDIDATES:
        rows = table.nearest(query.astype(np.float16), limit=fetch, where=where, columns=["id", "vector"])
        ranked = sorted(score(rows, query), key=order)
        if rows.num_rows < fetch:
            return ranked[:count]
        reach = 1.0 - max(rows.column("_distance").to_pylist()) + DISTANCE_ERROR
        if ranked[count - 1][0] > reach or (floor is not None and reach < floor):
            return ranked[:count]
        fetch *= 4
    return scan(table, query, count=count, where=where)


def scan(table: Table, query: NDArray[np.float32], *, count: int, where: str | None) -> list[Ranked]:
    """`nearest` by reading every vector that passes the condition; memory grows with `count` only."""
    best: list[Ranked] = []
    for batch in table.rows(["id", "vector"], where=where):
        best = heapq.nsmallest(count, [*best, *score(batch, query)], key=order)
    return best


def score(rows: pa.RecordBatch | pa.Table, query: NDArray[np.float32]) -> Iterable[Ranked]:
    """(cosine, id) of each row."""
    ids: list[str] = rows.column("id").to_pylist()
    yield from zip(cosines(vectors_of(rows), query), ids, strict=True)


def cosines(vectors: NDArray[np.floating[Any]], query: NDArray[np.float32]) -> list[float]:
    """The cosine of each row of `vectors` (n, d) with `query` (d,).

    Each row is multiplied and summed by itself in float64. A matrix product would be faster, but its rounding depends
    on a row's neighbors, and equal vectors must score equal.
    """
    unit = query.astype(np.float64)
    unit /= np.sqrt(np.vecdot(unit, unit))
    found: list[float] = []
    for start in range(0, len(vectors), SCORE_ROWS):
        check()
        part = vectors[start : start + SCORE_ROWS].astype(np.float64)
        found += (np.vecdot(part, unit) / np.sqrt(np.vecdot(part, part))).tolist()
    return found


def order(ranked: Ranked) -> tuple[float, str]:
    """Sort key: highest score first, then the id."""
    return -ranked[0], ranked[1]
