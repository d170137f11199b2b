"""Which hits a search wants, besides those nearest to its question."""

from __future__ import annotations

import math
from collections.abc import Collection as Sized
from dataclasses import dataclass
from numbers import Integral, Real

from oneword.storage.errors import BadSearch
from oneword.storage.filters import Filter

MOST = 10_000
"""Most hits in one answer."""
MOST_SKIPPED = 1_000_000
"""Most hits to skip: the deeper a page lies, the longer it takes."""

DIVERSE = 160
"""Hits that are put in order of diversity at a time; pages within them, and beyond, go on from one another."""
FUSIONS = ("rrf", "weighted")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a page of hits is made of.

    Args:
        limit, offset: most hits, and how many to skip. A page goes on where the last one ended, without repeats or
            holes, if it is asked of the same `version`.
        filter: a Filter, or one in words.
        min_score: lowest score of a hit: a cosine similarity, BM25 for keywords alone, or what a fusion gives.
        exclude_ids, exclude_image_hashes: items that are no hits.
        diversity: 0 for the nearest; up to 1, the more hits are to differ from those above them (maximal marginal
            relevance, Carbonell and Goldstein 1998: score x (1 - diversity) - likeness to the likest hit x diversity).
        group_by: a field of which every value is to be there once, by its best hit; items without it are all there. The
            10,240 nearest are looked at.
        keywords: words that are looked for in texts (BM25), fused with the nearest, or by themselves where there is no
            vector to be near to.
        fusion: "rrf" (reciprocal ranks) or "weighted" (normalised scores).
        keyword_weight: of the words in a weighted fusion, 0 to 1; nearness has the rest.
        version: of the collection; None: the newest.
        exact: compare every vector, though there is a serving index.
        thumbnails: with thumbnails, which take a read of the table.

    Raises:
        BadSearch: out of range.
    """

    limit: int = 10
    offset: int = 0
    filter: Filter | str | None = None
    min_score: float | None = None
    exclude_ids: Sized[str] = ()
    exclude_image_hashes: Sized[str] = ()
    diversity: float = 0.0
    group_by: str | None = None
    keywords: str | None = None
    fusion: str = "rrf"
    keyword_weight: float = 0.5
    version: int | None = None
    exact: bool = False
    thumbnails: bool = False

    def __post_init__(self) -> None:
        for name in ("limit", "offset", "version"):
            value = getattr(self, name)
            if value is None and name == "version":
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise BadSearch(f"{name} {value!r}: expected a whole number")
            object.__setattr__(self, name, int(value))
        for name in ("min_score", "diversity", "keyword_weight"):
            value = getattr(self, name)
            if value is None and name == "min_score":
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
                raise BadSearch(f"{name} {value!r}: expected a number")
        for name in ("group_by", "keywords"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise BadSearch(f"{name} {value!r}: expected text")
        for name in ("exclude_ids", "exclude_image_hashes"):
            values = getattr(self, name)
            if (
                not isinstance(values, Sized)
                or isinstance(values, str)
                or not all(isinstance(one, str) for one in values)
            ):
                raise BadSearch(f"{name} {values!r}: expected a list of texts")
        if not 0 <= self.limit <= MOST or not 0 <= self.offset <= MOST_SKIPPED:
            raise BadSearch(
                f"limit {self.limit} and offset {self.offset}: expected 0 to {MOST:,}, and 0 or more up to "
                f"{MOST_SKIPPED:,}; to read everything, scan the collection"
            )
        if self.version is not None and not 0 < self.version < 2**63:
            raise BadSearch(f"version {self.version}: expected 1 or more, as an earlier answer told it")
        if not 0 <= self.diversity <= 1:
            raise BadSearch(f"diversity {self.diversity}: expected 0 (the nearest) to 1 (as different as can be)")
        if self.fusion not in FUSIONS:
            raise BadSearch(f"fusion {self.fusion!r}: expected {' or '.join(map(repr, FUSIONS))}")
        if not 0 <= self.keyword_weight <= 1:
            raise BadSearch(f"keyword_weight {self.keyword_weight}: expected 0 to 1")

    @property
    def depth(self) -> int:
        """Hits to be found for the page."""
        return self.offset + self.limit

    @property
    def reach(self) -> int:
        """How deep to look at once where looking again would cost as much again: most likely enough for the page."""
        more = len(self.exclude_ids) + 8 * bool(self.exclude_image_hashes)
        return max(1, (self.depth + more) * (4 if self.group_by else 1), DIVERSE if self.diversity else 1)
