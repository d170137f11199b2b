"""Vectors of one version of a table, ready to be searched."""

from __future__ import annotations

import os
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oneword.storage.config import StorageConfig
from oneword.storage.ranking import cosines
from oneword.storage.serving import vectors as vector_file
from oneword.storage.serving.about import About
from oneword.storage.serving.allowed import Allowed
from oneword.storage.serving.documents import Documents
from oneword.storage.serving.gpu import GpuIndex
from oneword.storage.serving.places import Places
from oneword.storage.serving.tuning import NEAR, SAME_SCORE, parameters

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Scored = tuple[float, int]

LISTS, ADDRESSES, STAMPS, CHECKS = "lists.faiss", "addresses.npy", "stamps.npy", "checks.npy"
DEAREST = 4
"""What comparing a vector in full costs, in codes of as many dimensions: 4.5 at 4,096 and 2.4 at 384
(benchmarks/rates.py)."""
DEEPER = 1.5
"""As many times the rows are looked up that a filter would leave enough of, if it let them through evenly."""
DEPTHS = 100  # whose parameters are kept
MOST_OF_GPU = 2048  # nearest rows that FAISS finds on a GPU (faiss/gpu/GpuIndex.h: getMaxKSelection)


class ServingIndex:
    """FAISS over vectors, as the table stores them, and the items they belong to.

    The index proposes; candidates are scored again in float64 from the vectors as stored. So scores and their order
    are those of the exact search over the table.

    Legend: n rows, d dimensions, q questions. Rows are numbered from 0.

    Args:
        folder: where it lies.
        config: how it is held.

    Raises:
        Exception: of any kind, where it is incomplete or malformed; it can be built again.
        MissingGpu: it is wanted on a GPU that is not there.
    """

    def __init__(self, folder: Path, config: StorageConfig = StorageConfig()) -> None:  # noqa: B008 - it is frozen
        import faiss

        self.about = About.load(folder)
        self.addresses: Rows = np.load(folder / ADDRESSES, mmap_mode="r")
        self.stamps: Rows = np.load(folder / STAMPS, mmap_mode="r")
        # CRC-32 of each row's vector and document: what is mapped may change after its digest was compared.
        self._checks: NDArray[np.uint32] = np.load(folder / CHECKS, mmap_mode="r").view(np.ndarray)
        self.documents = Documents(folder, self._checks[:, 1])
        self._flat = vector_file.read(folder, mapped=not config.loaded)
        self.all_stored = vector_file.mapped(folder, self.about.rows, self.about.dimension)
        self._lists = None
        self._parameters: dict[int, Any] = {}
        if self.about.effort is not None:
            self._lists = faiss.read_index(str(folder / LISTS))
            inner = faiss.extract_index_ivf(self._lists)
            self._count, self._dearest = int(inner.nlist), DEAREST * self.about.dimension / inner.d
            self._both = faiss.IndexRefine(self._lists, self._flat)
        sizes = {
            len(self._checks),
            len(self.addresses),
            len(self.stamps),
            len(self.documents),
            self._flat.ntotal,
            self.about.rows,
        }
        if self._lists is not None:
            sizes.add(self._lists.ntotal)
        if len(sizes) > 1:
            raise ValueError(f"{folder}: its files speak of {sorted(sizes)} items: expected {self.about.rows} of each")
        self._gpu = None
        if config.index_device != "cpu":
            effort = self.about.effort
            share = effort.probes / self._count if effort and self._lists else 1.0
            self._gpu = GpuIndex(self.all_stored, config.index_device, share)

    @cached_property
    def by_address(self) -> Places:
        """Its rows by where they lay when it was built."""
        return Places.of(self.addresses)

    @cached_property
    def by_stamp(self) -> Places:
        """Its rows by their stamps."""
        return Places.of(self.stamps)

    def nearest(self, question: Vectors, count: int, allowed: Allowed | None = None) -> list[Scored]:
        """The `count` nearest rows as (cosine, row), highest first.

        Args:
            question: float32 (d,), of unit length.
            allowed: only those rows.
        """
        return self.nearest_of_each(question[None], count, allowed)[0]

    def nearest_of_each(self, questions: Vectors, count: int, allowed: Allowed | None = None) -> list[list[Scored]]:
        """As `nearest` for each of some questions (q, d), all at once.

        Where a filter lets many rows through, more rows than wanted are looked up and the others dropped; what is left
        is right wherever the filter's items lie. Where it lets few through, or too few are left, each is compared.
        """
        there = self.about.rows if allowed is None else allowed.count
        if count < 1 or not there:
            return [[] for _ in questions]
        depth = max(count, NEAR)  # effort is not known for less
        if allowed is not None and allowed.count < self.about.rows:
            depth = ceil(DEEPER * depth / allowed.share)
        if not self._pays(depth, there):
            return [self._compared(question, count, allowed) for question in questions]
        found = []
        for rows, question in zip(self._proposed(questions, depth), questions, strict=True):
            rows = rows[rows >= 0]
            if allowed is not None:
                rows = rows[allowed.mask[rows]]
            enough = len(rows) >= min(count, there)
            nearest = rows[: count + _spare(count)]
            found.append(self.scored(nearest, question)[:count] if enough else self._compared(question, count, allowed))
        return found

    def scored(self, rows: Rows, question: Vectors) -> list[Scored]:
        """Those rows with their scores, highest first; equal ones by id."""
        scores = cosines(self.stored(rows), question)
        ranked = sorted(zip(scores, rows.tolist(), strict=True), key=lambda one: -one[0])
        if len(set(scores)) < len(scores):
            ranked.sort(key=lambda one: (-one[0], self.documents[one[1]].id))
        return ranked

    def stored(self, rows: Rows) -> NDArray[np.float16]:
        """The vectors as the table stores them, float16 (rows, d).

        Raises:
            ValueError: one of them is not as it was written.
        """
        found = self.all_stored[rows]
        for row, vector in zip(rows.tolist(), found, strict=True):
            if crc32(vector) != self._checks[row, 0]:
                raise ValueError(f"row {row} of {vector_file.VECTORS} changed since it was written")
        return found

    def _pays(self, depth: int, there: int) -> bool:
        """Whether looking up so many of all rows costs less than comparing each that is allowed."""
        if self._gpu is not None:
            return depth + _spare(depth) <= MOST_OF_GPU
        if self._lists is None or self.about.effort is None:
            return False
        probes, keep = self.about.effort.at(depth, self._count)
        codes = probes / self._count * self.about.rows
        return bool(codes + self._dearest * keep * depth < self._dearest * there)

    def _proposed(self, questions: Vectors, depth: int) -> Rows:
        """The `depth` rows nearest to each question (q, d), and some: int64 (q, ...), -1 for none."""
        count = depth + _spare(depth)
        if self._gpu is not None:
            return self._gpu.nearest(questions, count)
        import faiss

        assert self._lists is not None
        assert self.about.effort is not None
        # Of this thread alone. One question gains nothing from more, and loses where others are at work.
        faiss.omp_set_num_threads(1 if len(questions) == 1 else os.cpu_count() or 1)
        chosen = self._parameters.get(depth)  # making them takes a tenth of a quick search
        if chosen is None:
            if len(self._parameters) >= DEPTHS:
                self._parameters.clear()
            probes, keep = self.about.effort.at(depth, self._count)
            chosen = self._parameters[depth] = parameters(self._lists, probes, max(1.0, keep * depth / count))
        rows: Rows = self._both.search(questions, count, params=chosen)[1]
        return rows

    def _compared(self, question: Vectors, count: int, allowed: Allowed | None) -> list[Scored]:
        """The nearest of all that is allowed, by comparing each: exact, ties at the border included."""
        import faiss

        faiss.omp_set_num_threads(1)
        there = self.about.rows if allowed is None else allowed.count
        chosen = None if allowed is None else faiss.SearchParameters(sel=allowed.selector)
        fetch = count + _spare(count)
        while True:
            fetch = min(fetch, there)
            scores, found = self._flat.search(question[None], fetch, params=chosen)
            ranked = self.scored(found[0][found[0] >= 0], question)
            # FAISS takes stored vectors to be of unit length, sums in float32, and cuts ties anyhow.
            reach = float(scores[0].min()) + self.about.length_error + SAME_SCORE
            if fetch == there or ranked[min(count, len(ranked)) - 1][0] > reach:
                return ranked[:count]
            fetch *= 4


def _spare(count: int) -> int:
    """Candidates scored in float64 beyond those asked for, so that near ties fall as exact scores and ids say."""
    return 2 + count // 8
