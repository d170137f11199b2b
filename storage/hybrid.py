"""Rankings by words, and by nearness and words together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.storage import keywords
from oneword.storage.fusion import K, reciprocal_rank, weighted
from oneword.storage.item import Item
from oneword.storage.ranking import Ranked, Ranking, TableRanking

WINDOW = 160
"""The best of each ranking that are fused; after them come the next nearest. Fixed, so that pages join."""


@dataclass(frozen=True, kw_only=True)
class KeywordRanking(TableRanking):
    """A Ranking by BM25 of some words; items without any of them are not in it."""

    cosines = False

    words: str

    def total(self) -> int | None:
        """See Ranking."""
        return None

    def best(self, count: int) -> list[Ranked]:
        """See Ranking."""
        return keywords.search(self.table, self.words, count=count, where=self.where)


@dataclass(frozen=True)
class HybridRanking:
    """A Ranking made of two; a key is an id.

    Args:
        nearest: by nearness.
        words: by words.
        fusion: "rrf" or "weighted".
        weight: of the words, in the latter.
    """

    nearest: Ranking
    words: KeywordRanking
    fusion: str
    weight: float
    _key_of: dict[str, Any] = field(default_factory=dict, repr=False)

    depths = (WINDOW, 2 * WINDOW)
    cosines = False

    def best(self, count: int) -> list[Ranked]:
        """See Ranking."""
        best = list(self._fused)
        if count > len(best):
            among = {id_ for _, id_ in best}
            # As reciprocal ranks go on; a weighted fusion has given the last one of the window 0.
            score = (lambda rank: 1 / (K + rank)) if self.fusion == "rrf" else (lambda _: 0.0)
            ranked = enumerate(self._by_id(self.nearest.best(max(count, WINDOW))), start=1)
            best += [(score(rank), id_) for rank, (_, id_) in ranked if id_ not in among]
        return best[:count]

    def total(self) -> int | None:
        """See Ranking."""
        return self.nearest.total()

    def items(self, keys: Sequence[str]) -> list[Item]:
        """See Ranking."""
        near = [key for key in keys if key in self._key_of]
        far = [key for key in keys if key not in self._key_of]
        found = dict(zip(near, self.nearest.items([self._key_of[key] for key in near]), strict=True)) if near else {}
        if far:
            found.update(zip(far, self.words.items(far), strict=True))
        return [found[key] for key in keys]

    def vectors(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """See Ranking."""
        return self.words.vectors(keys)

    @cached_property
    def _fused(self) -> list[Ranked]:
        near, by_words = self._by_id(self.nearest.best(WINDOW)), self.words.best(WINDOW)
        if self.fusion == "rrf":
            return reciprocal_rank(near, by_words)
        return weighted(near, by_words, weight=self.weight)

    def _by_id(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        items = self.nearest.items([key for _, key in ranked])
        self._key_of.update((item.id, key) for item, (_, key) in zip(items, ranked, strict=True))
        return [(score, item.id) for item, (score, _) in zip(items, ranked, strict=True)]
