"""The nearest rows to one question, out of a serving index and what was written since it was built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oneword.storage.item import Item
from oneword.storage.ranking import Ranked
from oneword.storage.serving.allowed import Allowed, Mask
from oneword.storage.serving.index import Scored, ServingIndex, Vectors
from oneword.storage.serving.standing import Standing


@dataclass(frozen=True, kw_only=True)
class ServedRanking:
    """See `oneword.storage.ranking.Ranking`. A key is a row of the index, or -1 - row for a fresh row.

    Args:
        question: float32 (d,), unit length.
        allowed, fresh_allowed: rows of the index and fresh ones that may be hits; None: all.
        first: the nearest rows of the index, as far as they are known already.
    """

    depths = (10, 40, 160, 640, 2560, 10240)
    cosines = True

    index: ServingIndex
    standing: Standing
    question: Vectors
    allowed: Allowed | None
    fresh_allowed: Mask | None
    first: Sequence[Scored] | None = field(default=None, repr=False)

    def best(self, count: int) -> list[Ranked]:
        """The `count` nearest, highest first; equal ones by id."""
        assert self.standing.fresh is not None
        nearest = self._of_index(count)
        fresh = self.standing.fresh.nearest(self.question, count, self.fresh_allowed)
        if not fresh:
            return nearest
        together: list[Ranked] = [*nearest, *((score, -1 - row) for score, row in fresh)]
        together.sort(key=lambda one: -one[0])
        if len({score for score, _ in together}) < len(together):
            together.sort(key=lambda one: (-one[0], self.item(one[1]).id))
        return together[:count]

    def total(self) -> int:
        """Rows that may be hits."""
        assert self.standing.fresh is not None
        fresh = len(self.standing.fresh.items) if self.fresh_allowed is None else int(self.fresh_allowed.sum())
        return fresh + (self.index.about.rows if self.allowed is None else self.allowed.count)

    def items(self, keys: Sequence[int]) -> list[Item]:
        """Their items, without thumbnails and vectors."""
        return [self.item(key) for key in keys]

    def item(self, key: int) -> Item:
        """One item."""
        assert self.standing.fresh is not None
        return self.index.documents[key] if key >= 0 else self.standing.fresh.items[-1 - key]

    def vectors(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """Their vectors as stored, float32 (keys, d)."""
        assert self.standing.fresh is not None
        rows = np.array(keys, dtype=np.int64)
        found = np.empty((len(rows), self.index.about.dimension), np.float32)
        found[rows >= 0] = self.index.stored(rows[rows >= 0])
        found[rows < 0] = self.standing.fresh.vectors[-1 - rows[rows < 0]]
        return found

    def _of_index(self, count: int) -> list[Ranked]:
        if self.first is not None and count == self.depths[0]:
            return list(self.first)
        return self.index.nearest(self.question, count, self.allowed)


def looked_up_together(rankings: Sequence[ServedRanking]) -> list[ServedRanking]:
    """Rankings of one index, the first look of all done at once."""
    if len(rankings) < 2:
        return list(rankings)
    one = rankings[0]
    questions = np.stack([ranking.question for ranking in rankings])
    found = one.index.nearest_of_each(questions, one.depths[0], one.allowed)
    return [replace(ranking, first=first) for ranking, first in zip(rankings, found, strict=True)]
