"""FAISS structures: each proposes the rows that are probably nearest, for an effort that is tuned when it is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.rows import Addresses, Mask, RowSet

Vectors = NDArray[np.float32]

NEAR, DEEP = 10, 160
"""Depths that are tuned for; parameters for other depths are interpolated and extrapolated."""
STEP = 1.2  # from one effort to try to the next
TOGETHER = 2  # times as many lists for rows that lie together; tests/storage/ann/test_index.py has such rows
MOST_EFFORT = 4096  # candidates kept in a graph
CACHED_PARAMS = 100  # efforts whose FAISS parameters are cached


@dataclass(frozen=True, kw_only=True)
class SearchParams:
    """The tuned parameters of a structure, which alone can interpret them.

    Args:
        effort: of a search for the 10 nearest: lists to read (nprobe), or candidates kept in the graph (efSearch).
        keep: candidates per hit to compare exactly (k_factor).
        seconds: measured processor time of such a search.
        deep_effort, deep_keep, deep_seconds: the same for the 160 nearest.
        row_seconds: measured processor time to compare a vector exactly.
    """

    effort: int
    keep: int
    seconds: float
    deep_effort: int
    deep_keep: int
    deep_seconds: float
    row_seconds: float

    def effort_at(self, depth: float) -> int:
        """The effort for the `depth` nearest."""
        return ceil(_between(self.effort, max(self.deep_effort, self.effort), depth))

    def keep_at(self, depth: float) -> int:
        """Candidates per hit for the `depth` nearest."""
        if depth <= NEAR:
            return self.keep
        return self.deep_keep if depth >= DEEP else max(self.keep, self.deep_keep)

    def seconds_at(self, depth: float) -> float:
        """Estimated processor time of a search for the `depth` nearest."""
        return _between(self.seconds, max(self.deep_seconds, self.seconds), depth)


def spare(count: int) -> int:
    """Extra candidates to re-rank, so that near ties are ordered by exact scores and ids."""
    return 2 + count // 8


def _between(near: float, deep: float, depth: float) -> float:
    """What is `near` at NEAR and `deep` at DEEP, on a straight line of logarithms."""
    return float(near * (deep / near) ** (log(max(depth, NEAR) / NEAR) / log(DEEP / NEAR)))


class Structure(ABC):
    """A FAISS index of n vectors, over a flat one of the same rows which compares candidates exactly.

    Args:
        index: what proposes candidates, maybe over fewer directions.
        flat: the vectors.
    """

    def __init__(self, index: Any, flat: Any) -> None:
        import faiss

        self.index, self.flat = index, flat
        self.rows = int(index.ntotal)
        self._reduced = isinstance(index, faiss.IndexPreTransform)
        self.inner = faiss.downcast_index(index.index) if self._reduced else index
        self._refined = faiss.IndexRefine(index, flat)
        self._cached: dict[tuple[int, float], Any] = {}

    @property
    @abstractmethod
    def most_effort(self) -> int:
        """The largest effort."""

    @abstractmethod
    def most(self, effort: int) -> int:
        """The largest number of candidates that it proposes for an effort."""

    @abstractmethod
    def candidates(self, queries: Vectors, count: int, params: SearchParams, allowed: RowSet | None) -> Addresses:
        """The `count` rows nearest to each query (q, d) and some more: int64 (q, ...), -1 for none.

        Args:
            allowed: the rows that are wanted; others may be among those returned.
        """

    @abstractmethod
    def _params(self, effort: int, selector: Any) -> Any:
        """The parameters as FAISS takes them."""

    def share(self, params: SearchParams) -> float:  # noqa: ARG002 - of the vectors, for structures that can tell
        """The share of the vectors that a search for the 10 nearest looks at."""
        return 1.0

    def proposed(self, queries: Vectors, count: int, effort: int) -> Addresses:
        """The `count` best candidates for each query (q, d), best first, not compared exactly: int64 (q, count)."""
        rows: Addresses = self.index.search(queries, count, params=self._wrapped(effort, None))[1]
        return rows

    def refined(self, queries: Vectors, count: int, effort: int, keep: float, selector: Any = None) -> Addresses:
        """The `count` and a few more best of keep x count candidates, compared exactly: int64 (q, ...)."""
        import faiss

        count, keep = count + spare(count), keep * count / (count + spare(count))
        params = self._cached.get((effort, keep)) if selector is None else None
        if params is None:  # making them takes a tenth of a quick search
            base = self._wrapped(effort, selector)
            params = faiss.IndexRefineSearchParameters(k_factor=max(1.0, keep), base_index_params=base)
            if selector is None:
                if len(self._cached) >= CACHED_PARAMS:
                    self._cached.clear()
                self._cached[effort, keep] = params
        rows: Addresses = self._refined.search(queries, count, params=params)[1]
        return rows

    def efforts(self) -> list[int]:
        """Efforts to try, each a fifth more than the last."""
        steps, effort = [], 1.0
        while round(effort) < self.most_effort:
            steps.append(round(effort))
            effort = max(effort + 1, effort * STEP)
        return [*dict.fromkeys(steps), self.most_effort]

    def _wrapped(self, effort: int, selector: Any) -> Any:
        import faiss

        params = self._params(effort, selector)
        return faiss.SearchParametersPreTransform(index_params=params) if self._reduced else params


class Lists(Structure):
    """Lists of codes (IVF): those nearest to the query are read."""

    @property
    def most_effort(self) -> int:
        """The number of lists."""
        return int(self.inner.nlist)

    def most(self, effort: int) -> int:  # noqa: ARG002
        """All rows."""
        return self.rows

    def share(self, params: SearchParams) -> float:
        """That of the lists."""
        return params.effort / self.most_effort

    def candidates(self, queries: Vectors, count: int, params: SearchParams, allowed: RowSet | None) -> Addresses:
        """Under a filter, so many lists that the share of the allowed rows in them is what it is without.

        So rows that lie together, far from the query, are found, too.
        """
        depth = count if allowed is None else count / allowed.share
        effort = min(params.effort_at(depth), self.most_effort)
        if allowed is None:
            return self.refined(queries, count, effort, params.keep_at(depth))
        reduced = self.index.chain.at(0).apply(queries) if self._reduced else queries
        order = self.inner.quantizer.search(reduced, self.most_effort)[1]
        inside = self._inside.get(allowed)
        if inside is None:
            inside = self._inside[allowed] = self._sizes(allowed.mask)
        wanted = self._all_sizes[order[:, :effort]].sum(axis=1) / self.rows * allowed.count
        lists = (inside[order].cumsum(axis=1) < wanted[:, None]).sum(axis=1).max() + 1
        if lists > STEP * effort:  # they lie together, so that which list is nearest says less
            lists *= TOGETHER
        keep = max(params.keep, params.deep_keep)
        return self.refined(queries, count, min(ceil(lists), self.most_effort), keep, allowed.selector)

    def _sizes(self, mask: Mask) -> Addresses:
        """The number of those rows in each list."""
        return np.bincount(self._list_of[mask], minlength=self.most_effort)

    @cached_property
    def _all_sizes(self) -> Addresses:
        return self._sizes(np.ones(self.rows, dtype=bool))

    @cached_property
    def _inside(self) -> WeakKeyDictionary[RowSet, Addresses]:
        """The sizes of the sets that were searched, for as long as they are cached elsewhere."""
        return WeakKeyDictionary()

    def _params(self, effort: int, selector: Any) -> Any:
        import faiss

        return faiss.SearchParametersIVF(nprobe=effort, sel=selector)

    @cached_property
    def _list_of(self) -> NDArray[np.int32]:
        """The list of each row: int32 (n,)."""
        import faiss

        found, lists = np.zeros(self.rows, np.int32), self.inner.invlists
        for number in range(self.most_effort):
            size = lists.list_size(number)
            if size:
                found[faiss.rev_swig_ptr(lists.get_ids(number), size)] = number
        return found


class Graph(Structure):
    """A graph of near neighbors (HNSW), followed towards the query."""

    @property
    def most_effort(self) -> int:
        """MOST_EFFORT, or all rows."""
        return min(MOST_EFFORT, self.rows)

    def most(self, effort: int) -> int:
        """As many as are kept on the way."""
        return effort

    def candidates(self, queries: Vectors, count: int, params: SearchParams, allowed: RowSet | None) -> Addresses:
        """Under a filter more rows are looked up, as paths lead through those that do not pass."""
        depth = count if allowed is None else allowed.depth(count)
        effort = max(params.effort_at(depth), ceil(count * params.keep_at(count)))
        selector = None if allowed is None else allowed.selector
        return self.refined(queries, count, effort, params.keep_at(count), selector)

    def _params(self, effort: int, selector: Any) -> Any:
        import faiss

        return faiss.SearchParametersHNSW(efSearch=effort, sel=selector)


def opened(index: Any, flat: Any) -> Structure:
    """FAISS's index as a structure."""
    import faiss

    return (Lists if faiss.try_extract_index_ivf(index) is not None else Graph)(index, flat)


def read(file: Path, flat: Any) -> Structure:
    """The structure in a file.

    Raises:
        RuntimeError: FAISS cannot read it.
    """
    import faiss

    return opened(faiss.read_index(str(file)), flat)
