"""Builds an ANN index: the table is streamed once into files, on which FAISS is then trained."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.files import (
    ABOUT,
    ADDRESSES,
    CHECKS,
    LISTS,
    STAMPS,
    DocumentWriter,
    IndexInfo,
    VectorWriter,
    digests,
    map_vectors,
    read_vectors,
)
from oneword.storage.ann.rows import addresses_in, identity, stamps_in
from oneword.storage.ann.tuning import BLOCK, Tuned, tune
from oneword.storage.durability import sync_file, sync_folder
from oneword.storage.schema import ITEM_COLUMNS, vectors_of
from oneword.storage.snapshot import Snapshot
from oneword.storage.table import Table

Vectors = NDArray[np.float32]

FLAT_NUMBERS = 2**23
"""Up to this many numbers (rows x dimensions) every vector is compared, in 2 ms or less (benchmarks/rates.py)."""
LEAST_A_LIST = 39
"""Rows per list that FAISS wants to train a centroid (faiss/Clustering.h: min_points_per_centroid)."""
TRAINED_A_LIST = 48
"""Rows per list that are sampled for training."""
ROUNDS = 6
"""Iterations of k-means; FAISS's default of 10 takes longer without fewer probes at the same recall."""

COMPONENTS = 512
"""Embeddings lie in some hundred directions (benchmarks/vectors.py), so 512 components of 4,096 hold nearly all of
their lengths; a code is an eighth as long."""
WORTH = 2  # times COMPONENTS: vectors of fewer dimensions are not reduced
SAMPLED = 8192  # rows that components are computed from
SPARE, PASSES = 16, 3  # oversampling and power iterations: Halko, Martinsson and Tropp 2011 (arXiv 0909.4061)


def build(
    snapshot: Snapshot, folder: Path, *, goal: float, flat_numbers: int = FLAT_NUMBERS, threads: int | None = None
) -> IndexInfo:
    """Write an index of one version of a table into an empty folder. Memory holds codes and a sample of the vectors.

    Args:
        goal: recall@10 to reach; the index is flat where no search parameters reach it.
        flat_numbers: up to this many numbers in all the index is flat.
        threads: for FAISS; None: all.
    """
    import faiss

    faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
    dimension = snapshot.schema.field("vector").type.list_size
    count, length_error = _write_rows(snapshot.table, folder, dimension)
    kind, tuned = "flat", Tuned(effort=None, recall=1.0)
    if count * dimension > flat_numbers:
        vectors = map_vectors(folder, count, dimension)
        # Reading centroids and reading codes then cost about the same, which is the minimum of their sum.
        number = max(1, min(round(2 * count**0.5), count // LEAST_A_LIST))
        name, lists = _train(number, vectors)
        tuned = tune(lists, read_vectors(folder, mapped=True), vectors, goal)
        if tuned.effort is not None:
            kind = f"{name},Refine(SQfp16)"
            faiss.write_index(lists, str(folder / LISTS))
    info = IndexInfo(
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
    info.save(folder)
    sync_file(folder / ABOUT)
    sync_folder(folder)
    return info


def _write_rows(table: Table, folder: Path, dimension: int) -> tuple[int, float]:
    """Write vectors, items, addresses and stamps. Returns the number of rows and the largest error of a length."""
    vectors, documents = VectorWriter(folder, dimension), DocumentWriter(folder)
    addresses, stamps, worst = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0.0
    checks: list[int] = []
    for batch in table.rows([*ITEM_COLUMNS, "vector", *identity(table.schema())], batch_size=2048):
        if not batch.num_rows:
            continue
        stored = vectors_of(batch)
        vectors.append(stored)
        checks += map(crc32, np.ascontiguousarray(stored, "<f2"))
        documents.append(batch)
        addresses.append(addresses_in(batch))
        stamps.append(stamps_in(batch))
        worst = max(worst, float(np.abs(np.linalg.norm(stored.astype(np.float32), axis=1) - 1).max()))
    vectors.close()
    documents.close()
    np.save(folder / ADDRESSES, np.concatenate(addresses))
    np.save(folder / STAMPS, np.concatenate(stamps))
    np.save(folder / CHECKS, np.array([checks, documents.checks], np.uint32).T)
    return vectors.count, worst


def _train(number: int, vectors: NDArray[np.float16]) -> tuple[str, Any]:
    """Train and fill an IVF index of `number` lists. Returns FAISS's name of it, and the index."""
    import faiss

    count, dimension = vectors.shape
    draw = np.random.default_rng(0)
    rows = np.sort(draw.choice(count, min(count, max(number * TRAINED_A_LIST, SAMPLED)), replace=False))
    sample = vectors[rows].astype(np.float32)
    name, transform = f"IVF{number},RaBitQfs", None
    if dimension >= WORTH * COMPONENTS:
        transform = _reduction(sample[:: max(1, len(sample) // SAMPLED)])
        dimension, sample = COMPONENTS, transform.apply(sample)
    lists = faiss.index_factory(dimension, name, faiss.METRIC_INNER_PRODUCT)
    lists.cp.niter = ROUNDS
    lists.train(sample)
    if transform is not None:
        lists = faiss.IndexPreTransform(transform, lists)
        name = f"PCAR{COMPONENTS},{name}"
    for block in _blocks(vectors):
        lists.add(block)
    return name, lists


def _reduction(sample: Vectors) -> Any:
    """FAISS's linear transform of vectors to COMPONENTS numbers that best preserves their inner products.

    A randomized singular value decomposition of the uncentered vectors: centering would change the inner products.
    A random rotation follows, as RaBitQ stores the sign of each number and needs them to matter alike (Gao and Long
    2024, arXiv 2405.12497).

    Args:
        sample: float32 (m, d).
    """
    import faiss

    draw = np.random.default_rng(0)
    dimension = sample.shape[1]
    basis = draw.standard_normal((dimension, COMPONENTS + SPARE)).astype(np.float32)
    for _ in range(PASSES):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    inside = sample @ basis
    _, turned = np.linalg.eigh(inside.T @ inside)
    components = (basis @ turned[:, ::-1])[:, :COMPONENTS].T
    rotation = np.linalg.qr(draw.standard_normal((COMPONENTS, COMPONENTS)))[0]
    matrix = np.ascontiguousarray(rotation @ components, dtype=np.float32)
    transform = faiss.LinearTransform(dimension, COMPONENTS, False)
    faiss.copy_array_to_vector(matrix.ravel(), transform.A)
    transform.is_trained = True
    return transform


def _blocks(vectors: NDArray[np.float16]) -> Iterator[Vectors]:
    for start in range(0, len(vectors), BLOCK):
        yield vectors[start : start + BLOCK].astype(np.float32)
