"""Which hits a search wants, besides those nearest to its question."""

from __future__ import annotations

from collections.abc import Collection as Sized
from dataclasses import dataclass

from storage.errors import BadSearch
from storage.filters import Filter

MOST = 10_000
"""Most hits in one answer."""

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
        group_by: a field of which every value is to be there once, by its best hit; items without it are all there.
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
        if not 0 <= self.limit <= MOST or self.offset < 0:
            raise BadSearch(f"limit {self.limit} and offset {self.offset}: expected 0 to {MOST:,}, and 0 or more")
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
