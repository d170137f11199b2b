"""An ANN index of one version of a table, opened for searches."""

from __future__ import annotations

import os
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.files import (
    ADDRESSES,
    CHECKS,
    LISTS,
    STAMPS,
    VECTORS,
    Documents,
    IndexInfo,
    map_vectors,
    read_vectors,
)
from oneword.storage.ann.gpu import GpuIndex
from oneword.storage.ann.rows import RowAddresses, RowSet
from oneword.storage.ann.tuning import NEAR, SAME_SCORE, faiss_params
from oneword.storage.config import StorageConfig
from oneword.storage.ranking import cosines

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Scored = tuple[float, int]

RERANK_COST = 4
"""Cost of re-ranking a vector exactly, in codes of as many dimensions: 4.5 at 4,096 and 2.4 at 384
(benchmarks/rates.py)."""
OVERFETCH = 1.5
"""Multiple of the rows needed that are looked up under a filter, relative to an even spread of its rows."""
CACHED_PARAMS = 100  # depths whose FAISS parameters are cached
GPU_LIMIT = 2048  # most rows that FAISS returns on a GPU (faiss/gpu/GpuIndex.h: getMaxKSelection)


class AnnIndex:
    """FAISS over the vectors of a table, with the items they belong to.

    FAISS proposes candidates, which are re-ranked in float64 from the stored vectors: scores and their order are those
    of the exact search over the table.

    Legend: n rows, d dimensions, q queries. Rows are numbered from 0.

    Args:
        folder: of its files.
        config: how they are held.

    Raises:
        Exception: of any kind, where a file is missing or malformed; the index can be built again.
        MissingGpu: the configured GPU is missing.
    """

    def __init__(self, folder: Path, config: StorageConfig = StorageConfig()) -> None:  # noqa: B008 - it is frozen
        import faiss

        self.info = IndexInfo.load(folder)
        self.addresses: Rows = np.load(folder / ADDRESSES, mmap_mode="r")
        self.stamps: Rows = np.load(folder / STAMPS, mmap_mode="r")
        # CRC-32 of each row's vector and item: mapped files may change after their digests were compared.
        self._checks: NDArray[np.uint32] = np.load(folder / CHECKS, mmap_mode="r").view(np.ndarray)
        self.documents = Documents(folder, self._checks[:, 1])
        self._flat = read_vectors(folder, mapped=not config.loaded)
        self.all_stored = map_vectors(folder, self.info.rows, self.info.dimension)
        self._lists = None
        self._params: dict[int, Any] = {}
        if self.info.effort is not None:
            self._lists = faiss.read_index(str(folder / LISTS))
            inner = faiss.extract_index_ivf(self._lists)
            self._list_count, self._rerank_cost = int(inner.nlist), RERANK_COST * self.info.dimension / inner.d
            self._refined = faiss.IndexRefine(self._lists, self._flat)
        parts = (self._checks, self.addresses, self.stamps, self.documents)
        sizes = {*map(len, parts), self._flat.ntotal, self.info.rows}
        if self._lists is not None:
            sizes.add(self._lists.ntotal)
        if len(sizes) > 1:
            raise ValueError(f"{folder}: its files have {sorted(sizes)} items: expected {self.info.rows} in each")
        self._gpu = None
        if config.index_device != "cpu":
            params = self.info.effort
            share = params.probes / self._list_count if params and self._lists else 1.0
            self._gpu = GpuIndex(self.all_stored, config.index_device, share)

    @cached_property
    def by_address(self) -> RowAddresses:
        """Its rows by their addresses when it was built."""
        return RowAddresses.of(self.addresses)

    @cached_property
    def by_stamp(self) -> RowAddresses:
        """Its rows by their stamps."""
        return RowAddresses.of(self.stamps)

    def nearest(self, query: Vectors, count: int, allowed: RowSet | None = None) -> list[Scored]:
        """The `count` nearest rows as (cosine, row), highest first.

        Args:
            query: float32 (d,), of unit length.
            allowed: the rows to search; None: all.
        """
        return self.nearest_batch(query[None], count, allowed)[0]

    def nearest_batch(self, queries: Vectors, count: int, allowed: RowSet | None = None) -> list[list[Scored]]:
        """`nearest` for each query (q, d), in one call of FAISS.

        Under a filter that many rows pass, more rows are looked up and the others dropped. Where few pass, or too few
        are left, every row that passes is compared.
        """
        there = self.info.rows if allowed is None else allowed.count
        if count < 1 or not there:
            return [[] for _ in queries]
        depth = max(count, NEAR)  # no parameters are tuned for less
        if allowed is not None and allowed.count < self.info.rows:
            depth = ceil(OVERFETCH * depth / allowed.share)
        if not self._is_cheaper(depth, there):
            return [self._compared(query, count, allowed) for query in queries]
        found = []
        for rows, query in zip(self._candidates(queries, depth), queries, strict=True):
            rows = rows[rows >= 0]
            if allowed is not None:
                rows = rows[allowed.mask[rows]]
            enough = len(rows) >= min(count, there)
            nearest = rows[: count + _spare(count)]
            found.append(self._reranked(nearest, query)[:count] if enough else self._compared(query, count, allowed))
        return found

    def stored(self, rows: Rows) -> NDArray[np.float16]:
        """The vectors as the table stores them, float16 (rows, d).

        Raises:
            ValueError: one of them differs from what was written.
        """
        found = self.all_stored[rows]
        for row, vector in zip(rows.tolist(), found, strict=True):
            if crc32(vector) != self._checks[row, 0]:
                raise ValueError(f"row {row} of {VECTORS} changed since it was written")
        return found

    def _reranked(self, rows: Rows, query: Vectors) -> list[Scored]:
        """The rows with their exact scores, highest first, ties by id."""
        scores = cosines(self.stored(rows), query)
        ranked = sorted(zip(scores, rows.tolist(), strict=True), key=lambda one: -one[0])
        if len(set(scores)) < len(scores):
            ranked.sort(key=lambda one: (-one[0], self.documents[one[1]].id))
        return ranked

    def _is_cheaper(self, depth: int, there: int) -> bool:
        """Whether a look-up of `depth` rows costs less than comparing each of the `there` allowed rows."""
        if self._gpu is not None:
            return depth + _spare(depth) <= GPU_LIMIT
        if self._lists is None or self.info.effort is None:
            return False
        probes, keep = self.info.effort.at(depth, self._list_count)
        codes = probes / self._list_count * self.info.rows
        return bool(codes + self._rerank_cost * keep * depth < self._rerank_cost * there)

    def _candidates(self, queries: Vectors, depth: int) -> Rows:
        """At least the `depth` rows nearest to each query (q, d): int64 (q, ...), -1 for none."""
        count = depth + _spare(depth)
        if self._gpu is not None:
            return self._gpu.nearest(queries, count)
        import faiss

        assert self._lists is not None
        assert self.info.effort is not None
        # Per thread. A single query gains nothing from more threads, and loses under concurrent load.
        faiss.omp_set_num_threads(1 if len(queries) == 1 else os.cpu_count() or 1)
        params = self._params.get(depth)  # making them takes a tenth of a quick search
        if params is None:
            if len(self._params) >= CACHED_PARAMS:
                self._params.clear()
            probes, keep = self.info.effort.at(depth, self._list_count)
            params = self._params[depth] = faiss_params(self._lists, probes, max(1.0, keep * depth / count))
        rows: Rows = self._refined.search(queries, count, params=params)[1]
        return rows

    def _compared(self, query: Vectors, count: int, allowed: RowSet | None) -> list[Scored]:
        """The nearest allowed rows, by comparing each: exact, ties at the border included."""
        import faiss

        faiss.omp_set_num_threads(1)
        there = self.info.rows if allowed is None else allowed.count
        params = None if allowed is None else faiss.SearchParameters(sel=allowed.selector)
        fetch = count + _spare(count)
        while True:
            fetch = min(fetch, there)
            scores, found = self._flat.search(query[None], fetch, params=params)
            ranked = self._reranked(found[0][found[0] >= 0], query)
            # FAISS assumes unit length, sums in float32 and breaks ties arbitrarily.
            reach = float(scores[0].min()) + self.info.length_error + SAME_SCORE
            if fetch == there or ranked[min(count, len(ranked)) - 1][0] > reach:
                return ranked[:count]
            fetch *= 4


def _spare(count: int) -> int:
    """Extra candidates to re-rank, so that near ties are ordered by exact scores and ids."""
    return 2 + count // 8
