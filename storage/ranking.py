"""The nearest rows, exactly: the same scores in the same order, however they were read."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.cancellation import check
from oneword.storage.item import Item
from oneword.storage.schema import ITEM_COLUMNS, to_items, vectors_of
from oneword.storage.sql import one_of
from oneword.storage.table import Table

# LanceDB rounds the query to float16 and sums in float32. Rounding moves a cosine by at most
# 2^-11 (half a unit in the last place, over unit vectors); twice that leaves room for the sums.
DISTANCE_ERROR = 1e-3

# Past this many candidates (ties by the thousand) reading all vectors once beats asking again.
MOST_CANDIDATES = 8192

# Rows scored at a time: bounds the float64 copies to 256 x d x 8 bytes.
SCORE_ROWS = 256

IDS_AT_ONCE = 2000  # ids in one SQL condition

Ranked = tuple[float, Any]
"""A score and a row's key, which means something to its ranking alone."""


class Ranking(Protocol):
    """All rows that may be hits, in the order of how well they answer one query, at one version of a table.

    depths: how many rows are asked for, in turn, until there are enough. An order made of the blocks between them is
    the same however many of its rows are wanted, also where `best` is approximate: so pages have no repeats or holes.
    cosines: scores are cosine similarities.
    """

    @property
    def depths(self) -> Sequence[int]: ...

    @property
    def cosines(self) -> bool: ...

    def best(self, count: int) -> list[Ranked]:
        """The `count` best as (score, key), highest first; equal ones by id."""
        ...

    def total(self) -> int | None:
        """How many rows there are; None: that would take as long as to find them all."""
        ...

    def items(self, keys: Sequence[Any]) -> list[Item]:
        """Their items, without thumbnails and vectors."""
        ...

    def vectors(self, keys: Sequence[Any]) -> NDArray[np.float32]:
        """Their vectors as stored, float32 (keys, d)."""
        ...


@dataclass(frozen=True, kw_only=True)
class TableRanking:
    """What a Ranking needs whose keys are ids: items and vectors out of the table.

    Args:
        table: at one version.
        where: SQL.
        depths: any will do where the order is exact: what is wanted is asked for at once.
    """

    table: Table
    where: str | None
    depths: Sequence[int]

    def total(self) -> int | None:
        """See Ranking."""
        return self.table.count(self.where)

    def items(self, keys: Sequence[str]) -> list[Item]:
        """See Ranking."""
        found = {item.id: item for batch in self._rows(keys, ITEM_COLUMNS) for item in to_items(batch)}
        return [found[key] for key in keys]

    def vectors(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """See Ranking."""
        found = {
            key: vector
            for batch in self._rows(keys, ("id", "vector"))
            for key, vector in zip(batch["id"].to_pylist(), vectors_of(batch).astype(np.float32), strict=True)
        }
        return np.stack([found[key] for key in keys])

    def _rows(self, keys: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(keys), IDS_AT_ONCE):
            yield from self.table.rows(columns, where=one_of("id", keys[start : start + IDS_AT_ONCE]))


@dataclass(frozen=True, kw_only=True)
class ExactRanking(TableRanking):
    """A Ranking by comparing every vector of the table.

    Args:
        query: float32 (d,).
        floor: scores below it are of no interest.
    """

    cosines = True

    query: NDArray[np.float32]
    floor: float | None

    def best(self, count: int) -> list[Ranked]:
        """See Ranking."""
        return nearest(self.table, self.query, count=count, where=self.where, floor=self.floor)


def nearest(
    table: Table, query: NDArray[np.float32], *, count: int, where: str | None, floor: float | None = None
) -> list[Ranked]:
    """The `count` rows of highest cosine to `query` (d,) as (score, id): score descending, then id.

    LanceDB proposes, float64 disposes: candidates are scored again from their stored vectors, and
    there are enough of them only when nothing left out could, by DISTANCE_ERROR, still belong.
    floor: stop early where nothing left out can reach this score.
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
    """As `nearest`, by reading every vector the condition lets through; memory grows with `count` only."""
    best: list[Ranked] = []
    for batch in table.rows(["id", "vector"], where=where):
        best = heapq.nsmallest(count, [*best, *score(batch, query)], key=order)
    return best


def score(rows: pa.RecordBatch | pa.Table, query: NDArray[np.float32]) -> Iterable[Ranked]:
    """(cosine, id) of each row.

    Each row is multiplied and summed by itself in float64. A matrix product would be quicker, but
    its rounding depends on a row's neighbours, and equal vectors must score equal.
    """
    ids: list[str] = rows.column("id").to_pylist()
    yield from zip(cosines(vectors_of(rows), query), ids, strict=True)


def cosines(vectors: NDArray[np.floating[Any]], query: NDArray[np.float32]) -> list[float]:
    """The cosine of each row of `vectors` (n, d) with `query` (d,), by the one formula that ranks."""
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
