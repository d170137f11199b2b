"""An ANN index of one version of a table, opened for searches."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

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
    checksums,
    map_vectors,
    read_vectors,
)
from oneword.storage.ann.gpu import GpuIndex
from oneword.storage.ann.rows import RowAddresses, RowSet
from oneword.storage.ann.structure import NEAR, read, spare
from oneword.storage.ann.tuning import SAME_SCORE
from oneword.storage.confidence import Confidence
from oneword.storage.config import StorageConfig
from oneword.storage.ranking import cosines

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Scored = tuple[float, int]

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
        self.info = IndexInfo.load(folder)
        self.addresses: Rows = np.load(folder / ADDRESSES, mmap_mode="r")
        self.stamps: Rows = np.load(folder / STAMPS, mmap_mode="r")
        # Checksums of each row's vector and item: mapped files may change after their digests were compared.
        self._checks: NDArray[np.uint64] = np.load(folder / CHECKS, mmap_mode="r").view(np.ndarray)
        self.documents = Documents(folder, self._checks[:, 1])
        self.confidence = Confidence.load(folder)
        self._flat = read_vectors(folder, mapped=not config.loaded)
        self.all_stored = map_vectors(folder, self.info.rows, self.info.dimension)
        self._structure = read(folder / LISTS, self._flat) if self.info.effort is not None else None
        parts = (self._checks, self.addresses, self.stamps, self.documents)
        sizes = {*map(len, parts), self._flat.ntotal, self.info.rows}
        if self._structure is not None:
            sizes.add(self._structure.rows)
        if len(sizes) > 1:
            raise ValueError(f"{folder}: its files have {sorted(sizes)} items: expected {self.info.rows} in each")
        self._gpu = None
        if config.index_device != "cpu":
            params = self.info.effort
            share = self._structure.share(params) if params and self._structure else 1.0
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

        Under a filter, every row that passes is compared where that is quicker, or where too few are found.
        """
        there = self.info.rows if allowed is None else allowed.count
        if count < 1 or not there:
            return [[] for _ in queries]
        proposed = self._candidates(queries, count, None if there == self.info.rows else allowed)
        if proposed is None:
            return [self._compared(query, count, allowed) for query in queries]
        found = []
        for rows, query in zip(proposed, queries, strict=True):
            rows = rows[rows >= 0]
            if allowed is not None:
                rows = rows[allowed.mask[rows]]
            enough = len(rows) >= min(count, there)
            nearest = rows[: count + spare(count)]
            found.append(self._reranked(nearest, query)[:count] if enough else self._compared(query, count, allowed))
        return found

    def stored(self, rows: Rows) -> NDArray[np.float16]:
        """The vectors as the table stores them, float16 (rows, d).

        Raises:
            ValueError: one of them differs from what was written.
        """
        found = self.all_stored[rows]
        wrong = checksums(found) != self._checks[rows, 0]
        if wrong.any():
            raise ValueError(f"row {rows[wrong][0]} of {VECTORS} changed since it was written")
        return found

    def _reranked(self, rows: Rows, query: Vectors) -> list[Scored]:
        """The rows with their exact scores, highest first, ties by id."""
        scores = cosines(self.stored(rows), query)
        ranked = sorted(zip(scores, rows.tolist(), strict=True), reverse=True)
        if len(set(scores)) < len(scores):
            ranked.sort(key=lambda one: (-one[0], self.documents[one[1]].id))
        return ranked

    def _candidates(self, queries: Vectors, count: int, allowed: RowSet | None) -> Rows | None:
        """At least the `count` rows nearest to each query (q, d): int64 (q, ...), -1 for none.

        None if comparing each allowed row takes less time.
        """
        import faiss

        count, params = max(count, NEAR), self.info.effort  # nothing is tuned for less
        if self._gpu is not None:
            depth = count + spare(count)
            depth = depth if allowed is None else allowed.depth(depth)
            return self._gpu.nearest(queries, depth) if depth <= GPU_LIMIT else None
        if self._structure is None or params is None:
            return None
        share, there = (1.0, self.info.rows) if allowed is None else (allowed.share, allowed.count)
        if params.seconds_at(count / share) > params.row_seconds * there:
            return None
        # Per thread. A single query gains nothing from more threads, and loses under concurrent load.
        faiss.omp_set_num_threads(1 if len(queries) == 1 else os.cpu_count() or 1)
        return self._structure.candidates(queries, count, params, allowed)

    def _compared(self, query: Vectors, count: int, allowed: RowSet | None) -> list[Scored]:
        """The nearest allowed rows, by comparing each: exact, ties at the border included."""
        import faiss

        faiss.omp_set_num_threads(1)
        there = self.info.rows if allowed is None else allowed.count
        params = None if allowed is None else faiss.SearchParameters(sel=allowed.selector)
        fetch = count + spare(count)
        while True:
            fetch = min(fetch, there)
            scores, found = self._flat.search(query[None], fetch, params=params)
            ranked = self._reranked(found[0][found[0] >= 0], query)
            # FAISS assumes unit length, sums in float32 and breaks ties arbitrarily.
            reach = float(scores[0].min()) + self.info.length_error + SAME_SCORE
            if fetch == there or ranked[min(count, len(ranked)) - 1][0] > reach:
                return ranked[:count]
            fetch *= 4
