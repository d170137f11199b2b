"""Checks an ANN index against the table, from which everything is read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oneword.storage.ann.delta import IndexDelta
from oneword.storage.ann.files import digests
from oneword.storage.ann.index import AnnIndex
from oneword.storage.ann.ranking import AnnRanking
from oneword.storage.ann.rows import RowSet, addresses_in, identity, stamps_in
from oneword.storage.ann.structure import NEAR
from oneword.storage.ann.tuning import SAME_SCORE, sample_queries
from oneword.storage.info import IndexCheck
from oneword.storage.ranking import ExactRanking
from oneword.storage.schema import to_items, vectors_of
from oneword.storage.snapshot import Snapshot
from oneword.storage.sql import one_of
from oneword.storage.table import Table

COMPARED = 256  # sampled rows whose vectors and items are compared

TOLERANCE = 0.01
"""What a recall over 100 sampled queries, 1,000 neighbors, may lie below the goal by chance: three standard errors of a
share of 0.99."""


def no_index(rows: int, damaged: Sequence[str]) -> IndexCheck:
    """The result where no index can be read or none is of this collection: searches use the table."""
    return _judged(rows=rows, missing=0, extra=0, stale=0, fresh=rows, differing=0, damaged=damaged)


def _judged(*, damaged: Sequence[str], recall: float = 1.0, goal: float = 1.0, **rows: int) -> IndexCheck:
    wrong = rows["missing"] or rows["extra"] or rows["differing"] or damaged
    right = not wrong and recall >= goal - TOLERANCE
    return IndexCheck(right=right, recall=recall, goal=goal, damaged=tuple(damaged), **rows)


def check(index: AnnIndex, folder: Path, delta: IndexDelta, snapshot: Snapshot, *, queries: int = 100) -> IndexCheck:
    """Compare an index with one version of the table.

    Args:
        folder: of the index.
        delta: of the index to that version.
        queries: number of sampled queries for the recall.
    """
    table = snapshot.table
    batches = list(table.rows(identity(snapshot.schema), batch_size=65536))
    there = np.concatenate([np.empty(0, np.int64), *map(stamps_in, batches)])
    live = np.asarray(index.stamps) if delta.live is None else index.stamps[delta.live]
    fresh = delta.fresh.addresses if delta.fresh is not None else np.empty(0, np.int64)
    addresses = np.concatenate([np.empty(0, np.int64), *map(addresses_in, batches)])
    found = np.isin(there, live) | np.isin(addresses, fresh)
    if delta.fresh is None:  # too much is new: the table is searched, which misses nothing
        fresh, found = addresses[~found], np.ones(len(there), dtype=bool)
    return _judged(
        rows=len(there),
        missing=int(np.count_nonzero(~found)),
        extra=int(np.count_nonzero(~np.isin(live, there))) + int(np.count_nonzero(~np.isin(fresh, addresses))),
        stale=delta.dead,
        fresh=len(fresh),
        differing=_differing(index, delta, snapshot),
        damaged=sorted({name for name, _ in index.info.digests.items() ^ digests(folder).items()}),
        recall=_recall(index, delta, snapshot, queries),
        goal=index.info.goal,
    )


def _differing(index: AnnIndex, delta: IndexDelta, snapshot: Snapshot) -> int:
    """Sampled live rows that the table has with another vector or another item."""
    rows = np.arange(index.info.rows) if delta.live is None else np.flatnonzero(delta.live)
    if not len(rows):
        return 0
    rows = np.random.default_rng(0).choice(rows, min(COMPARED, len(rows)), replace=False)
    held = {index.documents[row].id: row for row in rows.tolist()}
    differing = set(held)
    for batch in snapshot.table.rows([*snapshot.columns, "vector", Table.ADDRESS], where=one_of("id", held)):
        stored = vectors_of(batch)
        for item, vector in zip(to_items(batch.drop_columns(["vector"])), stored, strict=True):
            row = held[item.id]
            if item == index.documents[row] and np.array_equal(vector, index.stored(np.array([row]))[0]):
                differing.discard(item.id)
    return len(differing)


def _recall(index: AnnIndex, delta: IndexDelta, snapshot: Snapshot, queries: int) -> float:
    """Recall@10; rows whose scores tie count for each other."""
    if delta.fresh is None or not index.info.rows:
        return 1.0
    shares = []
    allowed = None if delta.live is None else RowSet(delta.live)
    for query in sample_queries(index.all_stored, queries, seed=1):
        approximate = AnnRanking(index=index, delta=delta, query=query, allowed=allowed, fresh_allowed=None)
        exact = ExactRanking(
            table=snapshot.table, columns=snapshot.columns, query=query, where=None, floor=None, depths=(NEAR,)
        )
        best = exact.best(NEAR)
        if best:
            border = best[-1][0] - SAME_SCORE
            shares.append(sum(score >= border for score, _ in approximate.best(NEAR)) / len(best))
    return float(np.mean(shares)) if shares else 1.0
