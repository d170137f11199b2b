"""Builds an ANN index: the table is streamed once into files, on which FAISS is then trained."""

from __future__ import annotations

import os
from pathlib import Path

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
    checksums,
    digests,
    map_vectors,
    read_vectors,
)
from oneword.storage.ann.rows import addresses_in, identity, stamps_in
from oneword.storage.ann.training import LEAST, Trainer
from oneword.storage.ann.tuning import Tuned, tune
from oneword.storage.confidence import Confidence
from oneword.storage.config import AnnKind
from oneword.storage.durability import sync_file, sync_folder
from oneword.storage.schema import item_columns, space_of, vectors_of
from oneword.storage.snapshot import Snapshot
from oneword.storage.table import Table

FLAT_NUMBERS = 2**23
"""Up to this many numbers (rows x dimensions) "auto" compares every vector, in 2 ms or less (benchmarks/rates.py)."""


def build(
    snapshot: Snapshot,
    folder: Path,
    *,
    goal: float,
    kind: AnnKind = "auto",
    threads: int | None = None,
    unrelated: NDArray[np.floating] | None = None,
) -> IndexInfo:
    """Write an index of one version of a table into an empty folder. Memory holds codes and a sample of the vectors.

    Args:
        goal: recall@10 to reach; the index is flat where no search parameters reach it.
        kind: one of `oneword.storage.config.INDEXES`.
        threads: for FAISS; None: all.
        unrelated: see `Confidence.measure`.
    """
    import faiss

    faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
    dimension = snapshot.schema.field("vector").type.list_size
    images, length_error = _write_rows(snapshot.table, folder, dimension)
    count = len(images)
    name, tuned = "flat", Tuned(effort=None, recall=1.0)
    if count >= LEAST and (count * dimension > FLAT_NUMBERS if kind == "auto" else kind != "flat"):
        vectors = map_vectors(folder, count, dimension)
        trainer = Trainer(vectors, read_vectors(folder, mapped=True))
        made, structure = trainer.make(trainer.quickest(goal) if kind == "auto" else kind)
        tuned = tune(structure, vectors, goal)
        if tuned.effort is not None:
            name = f"{made},Refine(SQfp16)"
            faiss.write_index(structure.index, str(folder / LISTS))
    if count:
        stored, fingerprint = map_vectors(folder, count, dimension), space_of(snapshot.schema)["fingerprint"]
        Confidence.measure(stored, images, unrelated, fingerprint).save(folder)
    info = IndexInfo(
        version=snapshot.version,
        created=snapshot.created,
        rows=count,
        dimension=dimension,
        kind=name,
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


def _write_rows(table: Table, folder: Path, dimension: int) -> tuple[NDArray[np.bool_], float]:
    """Write vectors, items, addresses and stamps. Returns which rows are images, and the largest error of a length."""
    vectors, documents = VectorWriter(folder, dimension), DocumentWriter(folder)
    addresses, stamps, worst = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0.0
    checks, images = [np.empty(0, np.uint64)], list[bool]()
    schema = table.schema()
    for batch in table.rows([*item_columns(schema), "vector", *identity(schema)], batch_size=2048):
        if not batch.num_rows:
            continue
        stored = vectors_of(batch)
        vectors.append(stored)
        checks.append(checksums(stored))
        documents.append(batch)
        images += [modality == "image" for modality in batch["modality"].to_pylist()]
        addresses.append(addresses_in(batch))
        stamps.append(stamps_in(batch))
        worst = max(worst, float(np.abs(np.linalg.norm(stored.astype(np.float32), axis=1) - 1).max()))
    vectors.close()
    documents.close()
    np.save(folder / ADDRESSES, np.concatenate(addresses))
    np.save(folder / STAMPS, np.concatenate(stamps))
    np.save(folder / CHECKS, np.array([np.concatenate(checks), documents.checks], np.uint64).T)
    return np.array(images, dtype=bool), worst
