"""Building a serving index: the table streams by once, then FAISS learns from what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.durability import sync_file, sync_folder
from oneword.storage.schema import ITEM_COLUMNS, STAMP, vectors_of
from oneword.storage.serving import vectors as vector_file
from oneword.storage.serving.about import ABOUT, About
from oneword.storage.serving.documents import DocumentWriter
from oneword.storage.serving.index import ADDRESSES, CHECKS, LISTS, STAMPS
from oneword.storage.serving.reduction import DIRECTIONS, SAMPLED, pays, reduction
from oneword.storage.serving.tuning import BLOCK, Tuned, tune
from oneword.storage.snapshot import Snapshot
from oneword.storage.table import Table

FLAT_NUMBERS = 2**23
"""Up to so many numbers (rows x dimensions) every vector is compared, in 2 ms or less (benchmarks/rates.py)."""
LEAST_A_LIST = 39
"""Rows a list that FAISS wants to learn a centroid from (faiss/Clustering.h: min_points_per_centroid)."""
TRAINED_A_LIST = 48
"""Rows a list that are taken, where there are so many."""
ROUNDS = 6
"""Of k-means; FAISS's 10 take longer and spare no lists."""


def build(
    snapshot: Snapshot, folder: Path, *, goal: float, flat_numbers: int = FLAT_NUMBERS, threads: int | None = None
) -> About:
    """Writes an index of one version of a table into an empty folder, in memory for codes and a sample of vectors.

    Args:
        goal: the share of the ten nearest that must be found; where no structure does it, every vector is compared.
        flat_numbers: up to so many numbers in all every vector is compared.
        threads: that FAISS may use; None: all.
    """
    import faiss

    faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
    dimension = snapshot.schema.field("vector").type.list_size
    count, length_error = _write_rows(snapshot.table, folder, dimension)
    kind, tuned = "flat", Tuned(effort=None, recall=1.0)
    if count * dimension > flat_numbers:
        vectors = vector_file.mapped(folder, count, dimension)
        # Reading centroids and reading codes then cost about the same, which is least (benchmarks/search.py's vectors).
        number = max(1, min(round(2 * count**0.5), count // LEAST_A_LIST))
        name, lists = _filled(number, vectors)
        tuned = tune(lists, vector_file.read(folder, mapped=True), vectors, goal)
        if tuned.effort is not None:
            kind = f"{name},Refine(SQfp16)"
            faiss.write_index(lists, str(folder / LISTS))
    about = About(
        version=snapshot.version,
        created=snapshot.created,
        rows=count,
        dimension=dimension,
        kind=kind,
        effort=tuned.effort,
        recall=tuned.recall,
        goal=goal,
        length_error=length_error,
        digests=digests(folder),
    )
    for file in folder.iterdir():
        sync_file(file)
    about.save(folder)
    sync_file(folder / ABOUT)
    sync_folder(folder)
    return about


def identity(schema: pa.Schema) -> list[str]:
    """The columns that `stamps` needs."""
    return [Table.ADDRESS, *[STAMP] * (STAMP in schema.names)]


def stamps(batch: pa.RecordBatch | pa.Table) -> NDArray[np.int64]:
    """What tells a row, as it was written, from any other row: int64 (n,).

    Its stamp; where the collection has none, its address, by which it is not found again once it was moved.
    """
    return integers(batch, STAMP if STAMP in batch.schema.names else Table.ADDRESS)


def integers(rows: pa.RecordBatch | pa.Table, name: str) -> NDArray[np.int64]:
    """A column of whole numbers, int64 (n,)."""
    column = rows.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    found: NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def digests(folder: Path) -> dict[str, str]:
    """The BLAKE2b of every file of an index but what is said about it."""
    return {file.name: _digest(file) for file in sorted(folder.iterdir()) if file.name != ABOUT}


def changed(folder: Path, about: About, *, least: int = -1, most: float = float("inf")) -> list[str]:
    """The files of an index, of more than `least` bytes and up to `most`, that are not as they were written."""
    return [
        name
        for name, digest in about.digests.items()
        if least < (folder / name).stat().st_size <= most and _digest(folder / name) != digest
    ]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _write_rows(table: Table, folder: Path, dimension: int) -> tuple[int, float]:
    """Writes vectors, documents, addresses and stamps; how many rows, and how far a length is from 1 at most."""
    vectors, documents = vector_file.VectorWriter(folder, dimension), DocumentWriter(folder)
    addresses, stamp, worst = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0.0
    checks: list[int] = []
    columns = [*ITEM_COLUMNS, "vector", *identity(table.schema())]
    for batch in table.rows(columns, batch_size=2048):
        if not batch.num_rows:
            continue
        stored = vectors_of(batch)
        vectors.append(stored)
        checks += map(crc32, np.ascontiguousarray(stored, "<f2"))
        documents.append(batch)
        addresses.append(integers(batch, Table.ADDRESS))
        stamp.append(stamps(batch))
        worst = max(worst, float(np.abs(np.linalg.norm(stored.astype(np.float32), axis=1) - 1).max()))
    vectors.close()
    documents.close()
    np.save(folder / ADDRESSES, np.concatenate(addresses))
    np.save(folder / STAMPS, np.concatenate(stamp))
    np.save(folder / CHECKS, np.array([checks, documents.checks], np.uint32).T)
    return vectors.count, worst


def _filled(number: int, vectors: NDArray[np.float16]) -> tuple[str, Any]:
    """FAISS's name of so many lists, and the lists."""
    import faiss

    count, dimension = vectors.shape
    draw = np.random.default_rng(0)
    sample = np.sort(draw.choice(count, min(count, max(number * TRAINED_A_LIST, SAMPLED)), replace=False))
    learnt = vectors[sample].astype(np.float32)
    name, transform = f"IVF{number},RaBitQfs", None
    if pays(dimension):
        transform = reduction(learnt[:: max(1, len(learnt) // SAMPLED)])
        dimension, learnt = DIRECTIONS, transform.apply(learnt)
    lists = faiss.index_factory(dimension, name, faiss.METRIC_INNER_PRODUCT)
    lists.cp.niter = ROUNDS
    lists.train(learnt)
    if transform is not None:
        lists = faiss.IndexPreTransform(transform, lists)
        name = f"PCAR{DIRECTIONS},{name}"
    for block in _blocks(vectors):
        lists.add(block)
    return name, lists


def _blocks(vectors: NDArray[np.float16]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), BLOCK):
        yield vectors[start : start + BLOCK].astype(np.float32)
