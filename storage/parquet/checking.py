"""The rows of a parquet file, looked through before anything is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oneword.storage.errors import BadFile
from oneword.storage.metadata import loads
from oneword.storage.parquet.columns import Layout
from oneword.storage.rules import UNIT_TOLERANCE

SHOWN = 10  # row numbers in a message
REQUIRED = ("modality", "uri", "content_hash", "indexed_at", "metadata")

Mask = NDArray[np.bool_]


def check(file: Path, source: pq.ParquetFile, found: Layout, dimension: int, *, rows: int) -> None:
    """Look through a file, so that it is refused before a part of it is stored. `rows` are read at once.

    Raises:
        BadFile: naming the rows, counted from 0.
    """
    wrong: dict[str, list[int]] = {}
    start, met = 0, set[int]()
    wanted = ["id", "vector", *(REQUIRED if found.whole else ("modality", "text", "uri"))]
    columns = [name for name in wanted if name in found.columns]
    for batch in source.iter_batches(batch_size=rows, columns=columns):
        complaints = _complaints(batch, found, dimension) | {"an id that is given before": _repeated(batch, met)}
        for complaint, mask in complaints.items():
            if mask.any():
                wrong.setdefault(complaint, []).extend((np.flatnonzero(mask) + start).tolist())
        start += batch.num_rows
    if wrong:
        told = "; ".join(f"{complaint} in {_listed(those)}" for complaint, those in wrong.items())
        raise BadFile(f"{file}: {told}, counted from 0; nothing was imported: correct these rows or leave them out")


def _listed(rows: list[int]) -> str:
    more = ", ..." if len(rows) > SHOWN else ""
    return f"{len(rows):,} rows ({', '.join(map(str, rows[:SHOWN]))}{more})"


def matrix(column: pa.Array, dimension: int) -> NDArray[np.float64]:
    """Vectors (n, d) that have been checked."""
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    return numbers.astype(np.float64).reshape(len(column), dimension)  # type: ignore[no-any-return]


def _complaints(batch: pa.RecordBatch, found: Layout, dimension: int) -> dict[str, Mask]:
    """What is wrong, and with which rows: bool (n,)."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    complaints = {"no id": np.array([one in (None, "") for one in columns["id"].to_pylist()], dtype=bool)}
    complaints |= _of_vectors(columns["vector"], dimension, unit=found.space is not None)
    if found.whole:
        complaints |= {f"no {name}": _nulls(columns[name]) for name in REQUIRED}
        complaints["metadata that is no JSON object"] = np.array(
            [one is not None and not _is_metadata(one) for one in columns["metadata"].to_pylist()], dtype=bool
        )
    else:
        neither = [_nulls(columns[name]) for name in ("text", "uri") if name in columns]
        complaints["neither text nor uri"] = np.logical_and.reduce(neither)
    if "modality" in columns:
        names = columns["modality"].to_pylist()
        complaints["a modality other than image and text"] = np.array(
            [one not in (None, "image", "text") for one in names], dtype=bool
        )
    return complaints


def _repeated(batch: pa.RecordBatch, met: set[int]) -> Mask:
    """The rows whose id was met before; all are from now on, by 64 bits of a hash each."""
    mask = np.zeros(batch.num_rows, dtype=bool)
    for row, one in enumerate(batch.column("id").to_pylist()):
        key = hash(str(one))
        mask[row] = key in met
        met.add(key)
    return mask


def _of_vectors(column: pa.Array, dimension: int, *, unit: bool) -> dict[str, Mask]:
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    whole = lengths == dimension
    vectors, holed = np.zeros((len(column), dimension)), np.zeros(len(column), dtype=bool)
    if whole.any():
        numbers = column.filter(pa.array(whole)).flatten()
        vectors[whole] = numbers.to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, dimension)
        holed[whole] = _nulls(numbers).reshape(-1, dimension).any(axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    finite = whole & ~holed & np.isfinite(norms)
    return {
        "no vector": lengths == -1,
        f"a vector of other than {dimension} numbers": ~whole & (lengths != -1),
        "NaN, infinity or null in the vector": whole & ~finite,
        "a vector of zeros": finite & (norms == 0),
        "a vector not of length 1": finite & (norms > 0) & (np.abs(norms - 1) > UNIT_TOLERANCE) & unit,
    }


def _nulls(column: pa.Array) -> Mask:
    mask: Mask = pc.is_null(column).to_numpy(zero_copy_only=False)
    return mask


def _is_metadata(text: Any) -> bool:
    try:
        loads(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return True
