"""Vectors of one version of a table, ready to be searched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.ranking import Ranked, cosines, order
from storage.serving.tuning import Effort, Tuned, tune

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

FLAT_NUMBERS = 2**24
"""Up to so many numbers (rows x dimensions) every vector is compared: lists would spare next to nothing."""
TRAINED = 40
"""Rows a list that the lists' centroids are learnt from; FAISS warns under 39."""
SPARE = 32
"""Candidates beyond those asked for, so that ties at the border fall as the ids say."""
INDEX, ROWS, ABOUT = "index.faiss", "rows.npz", "about.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """What an index is.

    Args:
        version: of the table that it was built from.
        created: of the table, ISO 8601: a table made again starts its versions anew.
        rows: number of vectors.
        kind: "flat", or FAISS's name of its structure.
        effort: how hard a search looks; None for "flat".
        recall: measured share of the ten nearest that are found; 1 for "flat".
        goal: the recall that was asked for.
    """

    version: int
    created: str
    rows: int
    kind: str
    effort: Effort | None
    recall: float
    goal: float


class ServingIndex:
    """FAISS over vectors, as the table stores them, and which items they belong to.

    The index proposes; candidates are scored again in float64 from the vectors as stored, which it keeps in
    float16 without loss. So scores and their order are those of the exact search over the table.

    Legend: n rows, d dimensions.
    """

    def __init__(self, faiss_index: Any, ids: Sequence[str], stamps: NDArray[np.int64], about: About) -> None:
        """stamps: int64 (n,), when each row was written, in microseconds: a row that was replaced has another one."""
        self._index, self.ids, self.stamps, self.about = faiss_index, np.asarray(ids, dtype=object), stamps, about
        self.arrow_ids: pa.Array = pa.array(self.ids, pa.string())

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        stamps: NDArray[np.int64],
        vectors: Vectors,
        *,
        version: int,
        created: str,
        goal: float = 0.99,
        flat_numbers: int = FLAT_NUMBERS,
    ) -> ServingIndex:
        """Builds one that fits the number of rows and dimensions, and measures its recall.

        Args:
            vectors: float32 (n, d), float16 numbers as the table stores them.
            goal: the share of the ten nearest that must be found.
            flat_numbers: up to so many numbers in all every vector is compared.
        """
        import faiss

        count, dimension = vectors.shape
        if count * dimension <= flat_numbers:
            index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
            index.add(vectors)
            tuned, kind = Tuned(effort=None, recall=1.0), "flat"
        else:
            lists = max(16, min(int(4 * count**0.5) // 16 * 16, count // TRAINED))
            kind = f"IVF{lists},RaBitQfs,Refine(SQfp16)"
            index = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
            drawn = np.random.default_rng(0).permutation(count)
            index.train(vectors[np.sort(drawn[: lists * TRAINED * 4])])
            index.add(vectors)
            tuned = tune(index, vectors, goal, lists)
        about = About(
            version=version,
            created=created,
            rows=count,
            kind=kind,
            effort=tuned.effort,
            recall=tuned.recall,
            goal=goal,
        )
        return cls(index, ids, stamps, about)

    def search(self, question: Vectors, count: int, allowed: NDArray[np.bool_] | None = None) -> list[Ranked]:
        """The `count` nearest as (cosine, id): score descending, then id.

        Args:
            question: float32 (d,).
            allowed: bool (n,); only those rows. Few of them are all compared.
        """
        if count < 1 or not len(self.ids) or (allowed is not None and not allowed.any()):
            return []
        rows = self._proposed(question / np.linalg.norm(question), count + SPARE, allowed)
        return sorted(zip(cosines(self.stored(rows), question), self.ids[rows].tolist(), strict=True), key=order)[
            :count
        ]

    def _proposed(self, question: Vectors, count: int, allowed: NDArray[np.bool_] | None) -> Rows:
        import faiss

        effort = self.about.effort
        if allowed is not None:
            few = np.flatnonzero(allowed)
            if effort is None or len(few) <= max(count * effort.keep, len(self.ids) * effort.exact_share):
                return self._nearest_of(few, question, count)
        asked = question[None].astype(np.float32)
        if effort is None:
            _, found = self._index.search(asked, min(count, len(self.ids)))
        else:
            selector = None
            if allowed is not None:
                bits = np.packbits(allowed, bitorder="little")
                selector = faiss.IDSelectorBitmap(bits)
                lists = faiss.extract_index_ivf(_downcast(self._index).base_index).nlist
                effort = effort.over(len(few) / len(self.ids), lists)
            _, found = self._index.search(asked, count, params=effort.parameters(selector))
        rows: Rows = found[0][found[0] >= 0]
        return rows

    def _nearest_of(self, rows: Rows, question: Vectors, count: int) -> Rows:
        """The nearest of a few rows, all compared, a block at a time."""
        scores = np.concatenate([self.stored(rows[i : i + 4096]) @ question for i in range(0, len(rows), 4096)])
        if len(rows) <= count:
            return rows
        nearest: Rows = rows[np.argpartition(-scores, count - 1)[:count]]
        return nearest

    def stored(self, rows: Rows) -> Vectors:
        """The vectors as the table stores them, float32 (rows, d)."""
        keeper = self._index if self.about.effort is None else self._index.refine_index
        vectors: Vectors = _downcast(keeper).reconstruct_batch(rows)
        return vectors

    def save(self, folder: Path) -> None:
        """Writes the index into a folder, which must not hold one yet."""
        import faiss

        folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(folder / INDEX))
        np.savez(folder / ROWS, ids=np.asarray(self.ids.tolist(), dtype=np.str_), stamps=self.stamps)
        (folder / ABOUT).write_text(json.dumps(asdict(self.about)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = True) -> ServingIndex:
        """Reads an index. mapped: leave the vectors on disk, to be read when needed.

        Raises:
            OSError, ValueError, RuntimeError: it is incomplete or malformed; it can be built again.
        """
        import faiss

        said = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        effort = said.pop("effort")
        about = About(**said, effort=Effort(**effort) if effort else None)
        index = faiss.read_index(str(folder / INDEX), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        with np.load(folder / ROWS) as rows:
            ids, stamps = rows["ids"].tolist(), rows["stamps"]
        if not index.ntotal == len(ids) == about.rows:
            raise ValueError(f"{folder}: {index.ntotal} vectors for {len(ids)} items: expected {about.rows} of each")
        return cls(index, ids, stamps, about)


def _downcast(index: Any) -> Any:
    import faiss

    return faiss.downcast_index(index)
