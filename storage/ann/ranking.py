"""The rows nearest to one query, from an ANN index and the rows written since it was built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.delta import FreshRows, IndexDelta
from oneword.storage.ann.index import AnnIndex, Scored, Vectors
from oneword.storage.ann.rows import Mask, RowSet
from oneword.storage.item import Item
from oneword.storage.ranking import Ranked


@dataclass(frozen=True, kw_only=True)
class AnnRanking:
    """A `oneword.storage.ranking.Ranking`. A key is a row of the index, or -1 - row for a fresh row.

    Args:
        query: float32 (d,), unit length.
        allowed, fresh_allowed: rows of the index and fresh rows that may be hits; None: all.
        first: the nearest rows of the index to the first depth, where they are known already.
    """

    depths = (10, 40, 160, 640, 2560, 10240)
    cosines = True

    index: AnnIndex
    delta: IndexDelta
    query: Vectors
    allowed: RowSet | None
    fresh_allowed: Mask | None
    first: Sequence[Scored] | None = field(default=None, repr=False)

    @property
    def _fresh(self) -> FreshRows:
        assert self.delta.fresh is not None  # otherwise the index is not used
        return self.delta.fresh

    def best(self, count: int) -> list[Ranked]:
        """The `count` nearest, highest first, ties by id."""
        if self.first is not None and count == self.depths[0]:
            nearest: list[Ranked] = list(self.first)
        else:
            nearest = [*self.index.nearest(self.query, count, self.allowed)]
        fresh = self._fresh.nearest(self.query, count, self.fresh_allowed)
        if not fresh:
            return nearest
        together: list[Ranked] = [*nearest, *((score, -1 - row) for score, row in fresh)]
        together.sort(key=lambda one: -one[0])
        if len({score for score, _ in together}) < len(together):
            together.sort(key=lambda one: (-one[0], self._item(one[1]).id))
        return together[:count]

    def total(self) -> int:
        """Number of rows that may be hits."""
        fresh = len(self._fresh.items) if self.fresh_allowed is None else int(self.fresh_allowed.sum())
        return fresh + (self.index.info.rows if self.allowed is None else self.allowed.count)

    def items(self, keys: Sequence[int]) -> list[Item]:
        """The items of keys, without thumbnails and vectors."""
        return [self._item(key) for key in keys]

    def vectors(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """The stored vectors of keys, float32 (keys, d)."""
        rows = np.array(keys, dtype=np.int64)
        found = np.empty((len(rows), self.index.info.dimension), np.float32)
        found[rows >= 0] = self.index.stored(rows[rows >= 0])
        found[rows < 0] = self._fresh.vectors[-1 - rows[rows < 0]]
        return found

    def _item(self, key: int) -> Item:
        return self.index.documents[key] if key >= 0 else self._fresh.items[-1 - key]


def search_together(rankings: Sequence[AnnRanking]) -> list[AnnRanking]:
    """Rankings over one index, with the first look-up of all done in one batch."""
    if len(rankings) < 2:
        return list(rankings)
    one = rankings[0]
    queries = np.stack([ranking.query for ranking in rankings])
    found = one.index.nearest_batch(queries, one.depths[0], one.allowed)
    return [replace(ranking, first=first) for ranking, first in zip(rankings, found, strict=True)]
