"""From a ranking to a page of hits: blocks, exclusions, groups, diversity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from oneword.storage.cancellation import check
from oneword.storage.errors import BadSearch
from oneword.storage.filters.fields import BUILTINS
from oneword.storage.item import Hit, Item
from oneword.storage.ranking import Ranked, Ranking
from oneword.storage.wanted import DIVERSE, Wanted

GROUPED = 10_240
"""The nearest that are looked at for groups: fewer groups than asked for may be among them."""
FIELDS = (*BUILTINS, "image_hash")
"""Fields of every item that hits may be grouped by, besides metadata."""


class Hits(list[Hit]):
    """Hits, best first.

    version: of the collection that was searched: ask it for the next page.
    total: items that pass the filter; None for a search by keywords alone, which items without them are not in.
    """

    def __init__(self, hits: Iterable[Hit] = (), *, version: int, total: int | None) -> None:
        super().__init__(hits)
        self.version, self.total = version, total


def page(ranking: Ranking, wanted: Wanted, version: int) -> Hits:
    """The hits wanted, without thumbnails.

    The steps are generators, each of which yields the same order however many of its hits are taken.
    """
    total = ranking.total()
    if total is not None and wanted.offset >= total:
        return Hits(version=version, total=total)
    ranked: Iterator[Ranked] = _blocks(ranking, wanted.min_score)
    if wanted.group_by is not None:
        ranked = islice(ranked, GROUPED)
    ranked = _kept(ranking, ranked, wanted)
    if wanted.diversity:
        ranked = _diverse(ranking, ranked, wanted.diversity)
    chosen = list(islice(ranked, wanted.offset, wanted.depth))
    items = ranking.items([key for _, key in chosen])
    hits = [Hit(item=item, score=score) for (score, _), item in zip(chosen, items, strict=True)]
    return Hits(hits, version=version, total=total)


def _blocks(ranking: Ranking, floor: float | None) -> Iterator[Ranked]:
    """The whole ranking, asked for to ever greater depths; what a deeper look finds above comes after."""
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


def _kept(ranking: Ranking, ranked: Iterator[Ranked], wanted: Wanted) -> Iterator[Ranked]:
    """Without what is excluded, and one of a group."""
    if not (wanted.exclude_ids or wanted.exclude_image_hashes or wanted.group_by):
        yield from ranked
        return
    ids, images = set(wanted.exclude_ids), set(wanted.exclude_image_hashes)
    group_of = _grouping(wanted.group_by)
    groups: set[Any] = set()
    while some := list(islice(ranked, 64)):
        check()
        for one, item in zip(some, ranking.items([key for _, key in some]), strict=True):
            if item.id in ids or item.image_hash in images:
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


def _diverse(ranking: Ranking, ranked: Iterator[Ranked], diversity: float) -> Iterator[Ranked]:
    """Greedily: next comes the one that is like the question and unlike all before it."""
    before: list[NDArray[np.float32]] = []
    highest = 0.0
    while block := list(islice(ranked, DIVERSE)):
        check()
        vectors = _unit(ranking.vectors([key for _, key in block]))
        likest = (vectors @ np.concatenate(before).T).max(axis=1) if before else np.full(len(block), -1.0)
        highest = highest or max(block[0][0], 1e-9)  # what a fusion or BM25 gives is put on the scale of cosines
        scores = np.array([score for score, _ in block]) / (1.0 if ranking.cosines else highest)
        near = (1 - diversity) * scores
        left = np.ones(len(block), dtype=bool)
        for _ in block:
            best = int(np.argmax(np.where(left, near - diversity * likest, -np.inf)))
            left[best] = False
            likest = np.maximum(likest, vectors @ vectors[best])
            yield block[best]
        before.append(vectors)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def check_field(field: str, known: Sequence[str]) -> None:
    """Refuse to group by what no item has.

    Raises:
        BadSearch: the field is unknown.
    """
    if field not in FIELDS and field.removeprefix("metadata.") not in known:
        names = ", ".join([*FIELDS, *(key for key in known if not key.startswith("_"))])  # the indexer's own
        raise BadSearch(f"group_by {field!r}: no such field in this collection; it has {names}")
