"""Vectors of one version of a table, ready to be searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.config import StorageConfig
from storage.ranking import cosines
from storage.serving import vectors as vector_file
from storage.serving.about import About
from storage.serving.allowed import Allowed, list_of_row
from storage.serving.documents import Documents
from storage.serving.gpu import GpuIndex
from storage.serving.tuning import NEAR, SAME_SCORE, parameters

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Scored = tuple[float, int]

UNUSABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError)
"""What reading an index raises that is incomplete or malformed."""
LISTS, ADDRESSES, STAMPS = "lists.faiss", "addresses.npy", "stamps.npy"
DEAREST = 6
"""What comparing a row in full costs, in rows looked at by their codes: measured at 384 and 4,096 dimensions."""

MARGIN = 2.0
"""As many times the rows are looked at where a filter lets only some through: the nearest of them lie further away."""


class ServingIndex:
    """FAISS over vectors, as the table stores them, and the items they belong to.

    The index proposes; candidates are scored again in float64 from the vectors as stored. So scores and their order
    are those of the exact search over the table.

    Legend: n rows, d dimensions, q questions. Rows are numbered from 0.

    Args:
        folder: where it lies.
        config: how it is held.

    Raises:
        UNUSABLE: it is incomplete or malformed; it can be built again.
        MissingGpu: it is wanted on a GPU that is not there.
    """

    def __init__(self, folder: Path, config: StorageConfig = StorageConfig()) -> None:  # noqa: B008 - it is frozen
        import faiss

        self.about = About.load(folder)
        self.addresses: Rows = np.load(folder / ADDRESSES, mmap_mode="r")
        self.stamps: Rows = np.load(folder / STAMPS, mmap_mode="r")
        self.documents = Documents(folder)
        self._flat = vector_file.read(folder, mapped=not config.loaded)
        self.all_stored = vector_file.mapped(folder, self.about.rows, self.about.dimension)
        self._lists = None
        if self.about.effort is not None:
            self._lists = faiss.read_index(str(folder / LISTS))
            self._both = faiss.IndexRefine(self._lists, self._flat)
        sizes = {len(self.addresses), len(self.stamps), len(self.documents), self._flat.ntotal, self.about.rows}
        if self._lists is not None:
            sizes.add(self._lists.ntotal)
        if len(sizes) > 1:
            raise ValueError(f"{folder}: its files speak of {sorted(sizes)} items: expected {self.about.rows} of each")
        if self._lists is not None:
            self._list_of_row = list_of_row(self._lists, self.about.rows)
        self._gpu = None
        if config.index_device != "cpu":
            effort = self.about.effort
            share = effort.probes / self._lists.nlist if effort and self._lists else 1.0
            self._gpu = GpuIndex(self.all_stored, config.index_device, share)

    def nearest(self, question: Vectors, count: int, allowed: Allowed | None = None) -> list[Scored]:
        """The `count` nearest rows as (cosine, row), highest first.

        Args:
            question: float32 (d,), of unit length.
            allowed: only those rows.
        """
        there = self.about.rows if allowed is None else allowed.count
        if count < 1 or not there:
            return []
        if self._gpu is not None and allowed is None:
            return self.nearest_of_each(question[None], count)[0]
        import faiss

        faiss.omp_set_num_threads(1)  # of this thread alone; one question gains nothing from more
        if self._lists is None or self.about.effort is None:
            return self._compared(question, count, allowed)
        wanted, count = count, max(count, NEAR)  # the least depth that effort is known for
        probes, keep = self.about.effort.at(count, self._lists.nlist)
        if allowed is not None:
            looked_at = MARGIN * probes / self._lists.nlist * self.about.rows
            if count * keep >= there or there * DEAREST <= min(looked_at / allowed.share, self.about.rows):
                return self._compared(question, wanted, allowed)
            probes = allowed.probes(self._lists, self._list_of_row, question, looked_at)
        elif count * keep >= there:
            return self._compared(question, wanted, None)
        fetch = count + _spare(count)
        chosen = parameters(probes, max(1.0, keep * count / fetch), allowed.selector if allowed else None)
        _, found = self._both.search(question[None], fetch, params=chosen)
        return self.scored(found[0][found[0] >= 0], question)[:wanted]

    def nearest_of_each(self, questions: Vectors, count: int) -> list[list[Scored]]:
        """As `nearest` for each of some questions (q, d), all at once."""
        import os

        import faiss

        if self._gpu is not None and self.about.rows:
            rows_of_each = self._gpu.nearest(questions, count + _spare(count))
            return [
                self.scored(rows[rows >= 0], question)[:count]
                for rows, question in zip(rows_of_each, questions, strict=True)
            ]
        effort = self.about.effort
        if self._lists is None or effort is None or len(questions) == 1 or not self.about.rows:
            return [self.nearest(question, count) for question in questions]
        wanted, count = count, max(count, NEAR)
        probes, keep = effort.at(count, self._lists.nlist)
        if count * keep >= self.about.rows:
            return [self.nearest(question, wanted) for question in questions]
        fetch = count + _spare(count)
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        _, found = self._both.search(questions, fetch, params=parameters(probes, max(1.0, keep * count / fetch)))
        return [self.scored(rows[rows >= 0], question)[:count] for rows, question in zip(found, questions, strict=True)]

    def scored(self, rows: Rows, question: Vectors) -> list[Scored]:
        """Those rows with their scores, highest first; equal ones by id."""
        scores = cosines(self.stored(rows), question)
        ranked = sorted(zip(scores, rows.tolist(), strict=True), key=lambda one: -one[0])
        if len(set(scores)) < len(scores):
            ranked.sort(key=lambda one: (-one[0], self.documents[one[1]].id))
        return ranked

    def stored(self, rows: Rows) -> NDArray[np.float16]:
        """The vectors as the table stores them, float16 (rows, d)."""
        return self.all_stored[rows]

    def _compared(self, question: Vectors, count: int, allowed: Allowed | None) -> list[Scored]:
        """The nearest of all that is allowed, by comparing each: exact, ties at the border included."""
        import faiss

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
