"""A search: its options, rankings by keywords and by both, and the page of hits made of a ranking."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Collection as Sized
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from oneword.storage import text_index
from oneword.storage.cancellation import check
from oneword.storage.confidence import Asked, Scale
from oneword.storage.errors import BadSearch
from oneword.storage.filters import Filter
from oneword.storage.filters.sql import BUILTINS
from oneword.storage.item import Hit, Item
from oneword.storage.options import CommonOptions, Fusion, SearchFields
from oneword.storage.ranking import Ranked, Ranking, TableRanking, order

DIVERSE = 160
"""Hits that are reordered for diversity at a time."""
GROUPED = 10_240
"""Nearest items that are searched for groups, and folded; they may have fewer groups than the limit."""
FOLDED = 64
"""Hits that are compared with those before them at a time."""
WINDOW = 160
"""Best items of each ranking that are fused; the next nearest follow. Fixed, so that pages are consistent."""
FIELDS = (*BUILTINS, "image_hash")
"""Fields of every item that hits may be grouped by, besides metadata."""

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
# Methods", SIGIR 2009: they fixed 60 in a pilot study, and found that it matters little.
K = 60


class Options(CommonOptions, total=False):
    """The fields of `SearchOptions`, for type checkers: a test compares them."""

    filter: Filter | str | None
    exclude_ids: Sized[str]
    exclude_image_hashes: Sized[str]
    exact: bool
    thumbnails: bool
    asked: Asked | None


@dataclass(frozen=True, kw_only=True)
class SearchOptions(SearchFields):
    """The options of a search besides its query vector.

    Args:
        limit, offset: most hits, and how many to skip. Pages of the same `version` are consistent: no repeats or holes.
        filter: a Filter, or one as text.
        min_score: lowest score of a hit: a cosine similarity, BM25 for keywords alone, or a fused score.
        min_confidence: lowest confidence of a hit; see `oneword.storage.confidence`.
        exclude_ids, exclude_image_hashes: items that are not hits.
        diversity: 0 for the nearest; up to 1, the more hits are to differ from those above them (maximal marginal
            relevance, Carbonell and Goldstein 1998: score x (1 - diversity) - highest similarity to them x diversity).
        group_by: a field; of each of its values only the best hit is returned; items without it are all returned.
            The 10,240 nearest are searched.
        fold_copies: least cosine similarity at which a hit counts as a copy of a better one, and is left out. Of the
            10,240 nearest.
        keywords: words to search texts, and the text in images, for (BM25); fused with the nearest, or alone if there
            is no vector.
        fusion: "rrf" (reciprocal rank) or "weighted" (normalized scores).
        keyword_weight: of keywords in a weighted fusion, 0 to 1; the similarity has the rest.
        version: of the collection; None: the newest.
        exact: compare every vector, even if there is an ANN index.
        thumbnails: return thumbnails, which takes a read of the table.
        asked: what the vector was made of; None: both, or something else, whose hits have no confidence.

    Raises:
        BadSearch: out of range.
    """

    filter: Filter | str | None = None
    exclude_ids: Sized[str] = ()
    exclude_image_hashes: Sized[str] = ()
    exact: bool = False
    thumbnails: bool = False
    asked: Asked | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("exclude_ids", "exclude_image_hashes"):
            values = getattr(self, name)
            is_list = isinstance(values, Sized) and not isinstance(values, str)
            if not is_list or not all(isinstance(one, str) for one in values):
                raise BadSearch(f"{name} {values!r}: expected a list of texts")

    @property
    def depth(self) -> int:
        """Number of hits to find for the page."""
        return self.offset + self.limit

    @property
    def reach(self) -> int:
        """Depth of the first look where a second one costs as much again: most likely enough for the page."""
        more = len(self.exclude_ids) + 8 * bool(self.exclude_image_hashes)
        fewer = self.group_by is not None or self.fold_copies is not None
        return max(1, (self.depth + more) * (4 if fewer else 1), DIVERSE if self.diversity else 1)


class Hits(list[Hit]):
    """Hits, best first.

    version: of the collection that was searched; pass it to get the next page.
    total: items that pass the filter; None for a search by keywords alone, which leaves out items without them.
    """

    def __init__(self, hits: Iterable[Hit] = (), *, version: int, total: int | None) -> None:
        super().__init__(hits)
        self.version, self.total = version, total


def page(ranking: Ranking, options: SearchOptions, version: int, scale: Scale | None = None) -> Hits:
    """The page of hits, without thumbnails.

    The steps are generators, each of which yields the same order however many of its hits are taken.
    scale: what the ranking's scores mean.
    """
    total = ranking.total()
    if total is not None and options.offset >= total:
        return Hits(version=version, total=total)
    floor = options.min_score
    if options.min_confidence is not None and scale is not None:
        floor = max(floor if floor is not None else -math.inf, scale.floor(options.min_confidence))
    ranked: Iterator[Ranked] = _blocks(ranking, floor)
    if options.group_by is not None or options.fold_copies is not None:
        ranked = islice(ranked, GROUPED)
    ranked = _kept(ranking, ranked, options, scale)
    if options.fold_copies is not None:
        ranked = _folded(ranking, ranked, options.fold_copies)
    if options.diversity:
        ranked = _diverse(ranking, ranked, options.diversity)
    chosen = list(islice(ranked, options.offset, options.depth))
    items = ranking.items([key for _, key in chosen])
    hits = [
        Hit(item=item, score=score, confidence=scale.of(item.modality, score) if scale else None)
        for (score, _), item in zip(chosen, items, strict=True)
    ]
    return Hits(hits, version=version, total=total)


def _blocks(ranking: Ranking, floor: float | None) -> Iterator[Ranked]:
    """The whole ranking, read to ever greater depths; rows that only a deeper look finds come after."""
    seen: set[Any] = set()
    depths = iter(ranking.depths)
    depth = next(depths)
    while True:
        check()
        found = ranking.best(depth)
        for score, key in found:
            if key not in seen and (floor is None or score >= floor):
                yield score, key
        if len(found) < depth or (floor is not None and found[-1][0] < floor):
            return
        seen.update(key for _, key in found)
        depth = next(depths, depth * 4)


def _kept(ranking: Ranking, ranked: Iterator[Ranked], options: SearchOptions, scale: Scale | None) -> Iterator[Ranked]:
    """The ranking without excluded and less confident items, and with one item per group."""
    least = options.min_confidence
    if not (options.exclude_ids or options.exclude_image_hashes or options.group_by or least):
        yield from ranked
        return
    ids, images = set(options.exclude_ids), set(options.exclude_image_hashes)
    group_of = _grouping(options.group_by)
    groups: set[Any] = set()
    while some := list(islice(ranked, 64)):
        check()
        for one, item in zip(some, ranking.items([key for _, key in some]), strict=True):
            if item.id in ids or item.image_hash in images:
                continue
            if least and scale is not None and (scale.of(item.modality, one[0]) or 0) < least:
                continue
            group = group_of(item)
            if group is not None:
                if group in groups:
                    continue
                groups.add(group)
            yield one


def _grouping(field: str | None) -> Callable[[Item], Any]:
    if field is None:
        return lambda _: None
    if field in FIELDS:
        return lambda item: getattr(item, field)
    key = field.removeprefix("metadata.")

    def group(item: Item) -> Any:
        value = item.metadata.get(key)
        if isinstance(value, list):
            return tuple(normalize("NFC", one) for one in value)
        return normalize("NFC", value) if isinstance(value, str) else value

    return group


def _folded(ranking: Ranking, ranked: Iterator[Ranked], least: float) -> Iterator[Ranked]:
    """The ranking without copies of what is before them."""
    least -= 1e-6  # equal vectors in float32
    before: list[NDArray[np.float32]] = []
    while block := list(islice(ranked, FOLDED)):
        check()
        vectors = ranking.vectors([key for _, key in block])
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        copies = np.zeros(len(block), dtype=bool)
        for some in before:
            copies |= (vectors @ some.T).max(axis=1) >= least
        first = []
        for place in range(len(block)):
            if not copies[place]:
                first.append(place)
                copies |= vectors @ vectors[place] >= least
        if first:
            before.append(vectors[first])
        yield from (block[place] for place in first)


def _diverse(ranking: Ranking, ranked: Iterator[Ranked], diversity: float) -> Iterator[Ranked]:
    """Greedy maximal marginal relevance, block by block."""
    before: list[NDArray[np.float32]] = []
    highest = 0.0
    while block := list(islice(ranked, DIVERSE)):
        check()
        vectors = ranking.vectors([key for _, key in block])
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        most_similar = (vectors @ np.concatenate(before).T).max(axis=1) if before else np.full(len(block), -1.0)
        highest = highest or max(block[0][0], 1e-9)  # fused and BM25 scores are put on the scale of cosines
        scores = np.array([score for score, _ in block]) / (1.0 if ranking.cosines else highest)
        relevance = (1 - diversity) * scores
        left = np.ones(len(block), dtype=bool)
        for _ in block:
            best = int(np.argmax(np.where(left, relevance - diversity * most_similar, -np.inf)))
            left[best] = False
            most_similar = np.maximum(most_similar, vectors @ vectors[best])
            yield block[best]
        before.append(vectors)


def check_field(field: str, known: Sequence[str]) -> None:
    """Check that hits can be grouped by a field.

    Raises:
        BadSearch: no item has it.
    """
    if field not in FIELDS and field.removeprefix("metadata.") not in known:
        names = ", ".join([*FIELDS, *(key for key in known if not key.startswith("_"))])  # the indexer's own are hidden
        raise BadSearch(f"group_by {field!r}: no such field in this collection; it has {names}")


@dataclass(frozen=True, kw_only=True)
class KeywordRanking(TableRanking):
    """A Ranking by BM25 of some words; items without any of them are not in it."""

    cosines = False

    words: str

    def total(self) -> int | None:
        """Unknown."""
        return None

    def best(self, count: int) -> list[Ranked]:
        """The `count` best as (BM25, id)."""
        return text_index.search(self.table, self.words, count=count, where=self.where)


@dataclass(frozen=True)
class HybridRanking:
    """A Ranking fused of two; a key is an id.

    Args:
        nearest: by similarity.
        words: by keywords.
        fusion: "rrf" or "weighted".
        weight: of keywords in a weighted fusion.
    """

    nearest: Ranking
    words: KeywordRanking
    fusion: Fusion
    weight: float
    _key_of: dict[str, Any] = field(default_factory=dict, repr=False)

    depths = (WINDOW, 2 * WINDOW)
    cosines = False

    def best(self, count: int) -> list[Ranked]:
        """The `count` best as (fused score, id)."""
        best = list(self._fused)
        if count > len(best):
            among = {id_ for _, id_ in best}
            # Reciprocal ranks continue; a weighted fusion has given 0 to the last item of the window.
            score = (lambda rank: 1 / (K + rank)) if self.fusion == "rrf" else (lambda _: 0.0)
            ranked = enumerate(self._by_id(self.nearest.best(max(count, WINDOW))), start=1)
            best += [(score(rank), id_) for rank, (_, id_) in ranked if id_ not in among]
        return best[:count]

    def total(self) -> int | None:
        """Number of items in the ranking by similarity."""
        return self.nearest.total()

    def items(self, keys: Sequence[str]) -> list[Item]:
        """The items of ids, without thumbnails and vectors."""
        near = [key for key in keys if key in self._key_of]
        far = [key for key in keys if key not in self._key_of]
        found = dict(zip(near, self.nearest.items([self._key_of[key] for key in near]), strict=True)) if near else {}
        if far:
            found.update(zip(far, self.words.items(far), strict=True))
        return [found[key] for key in keys]

    def vectors(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """The stored vectors of ids, float32 (keys, d)."""
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


def reciprocal_rank(one: Sequence[Ranked], other: Sequence[Ranked], *, k: int = K) -> list[Ranked]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the rankings that have the item; ranks count from 1.

    Only the order of a ranking matters, not its scores. The result is in order of the new scores, ties by id.
    """
    scores: dict[str, float] = {}
    for ranking in (one, other):
        for rank, (_, item_id) in enumerate(_distinct(ranking), start=1):
            scores[item_id] = scores.get(item_id, 0.0) + 1.0 / (k + rank)
    return sorted(((score, item_id) for item_id, score in scores.items()), key=order)


def weighted(one: Sequence[Ranked], other: Sequence[Ranked], *, weight: float = 0.5) -> list[Ranked]:
    """(1 - weight) times an item's normalized score in `one` plus weight times that in `other`, in [0, 1].

    The scores of a ranking are normalized from its lowest to its highest onto [0, 1] (min-max): BM25 has no upper bound
    and cosines lie close together, and both must spread alike for a weight to mean anything. An item that a ranking
    lacks gets 0 there, like its last one. Where all scores of a ranking are equal they are 1. The result is in order of
    the new scores, ties by id.

    Raises:
        ValueError: the weight lies outside [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"the weight of the second ranking is {weight}, expected 0 to 1")
    first, second = _normalized(_distinct(one)), _normalized(_distinct(other))
    mixed = (
        ((1.0 - weight) * first.get(item_id, 0.0) + weight * second.get(item_id, 0.0), item_id)
        for item_id in first | second
    )
    return sorted(mixed, key=order)


def _distinct(ranking: Sequence[Ranked]) -> list[Ranked]:
    """In order, each item once, with its best score."""
    seen: dict[str, float] = {}
    for score, item_id in sorted(ranking, key=order):
        seen.setdefault(item_id, score)
    return [(score, item_id) for item_id, score in seen.items()]


def _normalized(ranking: Sequence[Ranked]) -> dict[str, float]:
    if not ranking:
        return {}
    highest, lowest = ranking[0][0], ranking[-1][0]
    if highest == lowest:
        return {item_id: 1.0 for _, item_id in ranking}
    if math.isinf(highest - lowest):
        return _normalized([(score / 4, item_id) for score, item_id in ranking])
    return {item_id: (score - lowest) / (highest - lowest) for score, item_id in ranking}
