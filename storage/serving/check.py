"""Is a serving index right? Everything is read anew from the table, nothing is taken from what serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneword.storage.ranking import ExactRanking
from oneword.storage.schema import to_items, vectors_of
from oneword.storage.serving.allowed import Allowed
from oneword.storage.serving.build import digests, identity, stamps
from oneword.storage.serving.index import ServingIndex
from oneword.storage.serving.ranking import ServedRanking
from oneword.storage.serving.standing import COLUMNS, Standing, addresses_in
from oneword.storage.serving.tuning import NEAR, SAME_SCORE, questions
from oneword.storage.snapshot import Snapshot
from oneword.storage.sql import one_of

COMPARED = 256  # sampled rows whose vectors and items are compared


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a comparison with the table found.

    Args:
        rows: of the table.
        missing: rows of the table that a search would not find.
        extra: rows that a search would find and that are not in the table as they were.
        stale: rows of the index that were deleted or replaced since; they are left out of answers.
        fresh: rows written since; they are compared exactly.
        differing: of sampled rows, those whose vector or item in the index is not the table's.
        damaged: files of the index that are not as they were written.
        recall: share of the ten nearest found, over sampled questions; `goal` was asked for.
    """

    rows: int
    missing: int
    extra: int
    stale: int
    fresh: int
    differing: int
    damaged: tuple[str, ...]
    recall: float
    goal: float

    @classmethod
    def of_none(cls, rows: int, damaged: Sequence[str]) -> Check:
        """Where there are indexes, and none that can be read or is of this collection: searches ask the table."""
        return cls(
            rows=rows,
            missing=0,
            extra=0,
            stale=0,
            fresh=rows,
            differing=0,
            damaged=tuple(damaged),
            recall=1.0,
            goal=1.0,
        )

    @property
    def right(self) -> bool:
        """Whether answers are what the table would give, to the goal: nothing lost, nothing made up."""
        wrong = self.missing or self.extra or self.differing or self.damaged
        return not wrong and self.recall >= self.goal - TOLERANCE


TOLERANCE = 0.01
"""What a recall measured over 100 sampled questions, 1,000 neighbours, may lie below the goal by chance: three standard
errors of a share of 0.99."""


def check(index: ServingIndex, folder: Path, standing: Standing, snapshot: Snapshot, *, asked: int = 100) -> Check:
    """Compares an index with one version of the table.

    Args:
        folder: where the index lies.
        standing: how it stands to that version.
        asked: questions for the recall.
    """
    table = snapshot.table
    batches = list(table.rows(identity(snapshot.schema), batch_size=65536))
    there = np.concatenate([np.empty(0, np.int64), *map(stamps, batches)])
    live = np.asarray(index.stamps) if standing.live is None else index.stamps[standing.live]
    fresh = standing.fresh.addresses if standing.fresh is not None else np.empty(0, np.int64)
    addresses = np.concatenate([np.empty(0, np.int64), *map(addresses_in, batches)])
    found = np.isin(there, live) | np.isin(addresses, fresh)
    if standing.fresh is None:  # too much is new: the table answers, which misses nothing
        fresh, found = addresses[~found], np.ones(len(there), dtype=bool)
    recall = _recall(index, standing, snapshot, asked)
    return Check(
        rows=len(there),
        missing=int(np.count_nonzero(~found)),
        extra=int(np.count_nonzero(~np.isin(live, there))) + int(np.count_nonzero(~np.isin(fresh, addresses))),
        stale=standing.dead,
        fresh=len(fresh),
        differing=_differing(index, standing, snapshot),
        damaged=tuple(sorted({name for name, _ in index.about.digests.items() ^ digests(folder).items()})),
        recall=recall,
        goal=index.about.goal,
    )


def _differing(index: ServingIndex, standing: Standing, snapshot: Snapshot) -> int:
    """Sampled live rows that are in the table with another vector or another item."""
    rows = np.arange(index.about.rows) if standing.live is None else np.flatnonzero(standing.live)
    if not len(rows):
        return 0
    rows = np.random.default_rng(0).choice(rows, min(COMPARED, len(rows)), replace=False)
    held = {index.documents[row].id: row for row in rows.tolist()}
    differing = set(held)
    for batch in snapshot.table.rows(COLUMNS, where=one_of("id", held)):
        stored = vectors_of(batch)
        for item, vector in zip(to_items(batch.drop_columns(["vector"])), stored, strict=True):
            row = held[item.id]
            if item == index.documents[row] and np.array_equal(vector, index.stored(np.array([row]))[0]):
                differing.discard(item.id)
    return len(differing)


def _recall(index: ServingIndex, standing: Standing, snapshot: Snapshot, asked: int) -> float:
    """Of the ten nearest of all, the share that a search finds; rows of equal score stand for each other."""
    if standing.fresh is None or not index.about.rows:
        return 1.0
    shares = []
    allowed = None if standing.live is None else Allowed(standing.live)
    for question in questions(index.all_stored, asked, seed=1):
        served = ServedRanking(index=index, standing=standing, question=question, allowed=allowed, fresh_allowed=None)
        exact = ExactRanking(table=snapshot.table, question=question, where=None, floor=None, depths=(NEAR,))
        best = exact.best(NEAR)
        if best:
            border = best[-1][0] - SAME_SCORE
            shares.append(sum(score >= border for score, _ in served.best(NEAR)) / len(best))
    return float(np.mean(shares)) if shares else 1.0
