"""A collection's serving index: built, found, kept in step with the table, and checked against it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage import ranking
from storage.database import Table
from storage.ranking import Ranked, order
from storage.schema import vectors_of
from storage.serving.index import About, ServingIndex
from storage.sql import one_of

Mask = NDArray[np.bool_]
STAMP = ["id", "content_hash", "indexed_at"]
IDS_AT_ONCE = 2000


@dataclass(frozen=True, kw_only=True)
class Step:
    """How an index stands to one version of the table.

    Args:
        version: of the table.
        live: bool (n,), which of the index's rows are in the table as they were.
        fresh_ids, fresh: what is in the table and not in the index; as the table stores it.
    """

    version: int
    live: Mask
    fresh_ids: frozenset[str]
    fresh: pa.Table


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a comparison with the table found.

    Args:
        missing: rows of the table that neither index nor exact search would find.
        extra: rows that would be found and are not in the table.
        stale: rows of the index that were deleted or replaced since; they are left out of answers.
        fresh: rows written since; they are compared exactly.
        recall: share of the ten nearest found, over sampled questions; `goal` was asked for.
    """

    missing: int
    extra: int
    stale: int
    fresh: int
    recall: float
    goal: float

    @property
    def right(self) -> bool:
        """Whether answers are what the table would give, to the goal: nothing lost, nothing made up."""
        return not self.missing and not self.extra and self.recall >= min(self.goal, 0.999) - 0.01


class Serving:
    """The index of one table. Safe from any number of threads and processes.

    Args:
        folder: where indexes lie, one in a folder of its own; the newest whole one serves.
    """

    def __init__(self, table: Table, folder: Path) -> None:
        self._table, self.folder = table, folder
        self._mutex = threading.Lock()
        self._loaded: tuple[str, ServingIndex] | None = None
        self._step: tuple[str, Step] | None = None

    def build(self, created: str, *, goal: float = 0.99, **options: Any) -> About:
        """Builds an index of the table as it is now, and swaps it in; searches go on meanwhile.

        Args:
            created: of the table.
            goal: share of the ten nearest to be found.
        """
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_suffix(".serving.lock"), thread_local=False):
            return self._build(created, goal, options)

    def _build(self, created: str, goal: float, options: dict[str, Any]) -> About:
        version, ids, stamps, parts = self._table.version(), [], [], []
        for batch in self._table.rows([*STAMP, "vector"], batch_size=4096):
            ids += batch["id"].to_pylist()
            stamps.append(_stamps(batch))
            parts.append(vectors_of(batch).astype(np.float32))
        dimension = self._table.schema().field("vector").type.list_size
        vectors = np.concatenate([np.empty((0, dimension), dtype=np.float32), *parts])
        stamp = np.concatenate([np.empty(0, dtype=np.int64), *stamps])
        index = ServingIndex.build(ids, stamp, vectors, version=version, created=created, goal=goal, **options)
        name = f"{version:012d}-{uuid.uuid4().hex[:8]}"
        partial = self.folder / f"{name}.partial"
        index.save(partial)
        partial.rename(self.folder / name)
        for old in self.folder.iterdir():  # an index that someone still reads stays on disk until it is let go
            if old.name != name:
                shutil.rmtree(old, ignore_errors=True)
        return index.about

    def about(self, created: str) -> About | None:
        """Of the index that serves, if there is one."""
        found = self._current(created)
        return found[1].about if found else None

    def search(
        self,
        question: NDArray[np.float32],
        *,
        created: str,
        count: int,
        where: str | None,
        floor: float | None = None,
        without: frozenset[str] = frozenset(),
    ) -> list[Ranked] | None:
        """As `ranking.nearest`, or None if there is no index.

        Args:
            created: of the table.
            where: SQL.
            without: ids that are left out.
        """
        found = self._current(created)
        if found is None:
            return None
        name, index = found
        step = self._in_step(name, index)
        allowed = step.live
        fresh = step.fresh
        if where is not None:
            passing = self._ids(where)
            allowed = allowed & _member(index.arrow_ids, passing)
            fresh = fresh.filter(pc.is_in(fresh["id"], value_set=passing))
        if without:
            left_out = pa.array(sorted(without), pa.string())
            allowed = allowed & ~_member(index.arrow_ids, left_out)
            fresh = fresh.filter(pc.invert(pc.is_in(fresh["id"], value_set=left_out)))
        nearest = index.search(question, count, None if allowed.all() else allowed)
        together = sorted([*nearest, *ranking.score(fresh, question)], key=order)[:count]
        return [one for one in together if floor is None or one[0] >= floor]

    def check(self, created: str, *, questions: int = 50) -> Check | None:
        """Compares the index with the table, or None if there is none."""
        found = self._current(created)
        if found is None:
            return None
        name, index = found
        step = self._in_step(name, index)
        ids = self._ids(None)
        served = set(index.ids[step.live].tolist()) | step.fresh_ids
        there = set(ids.to_pylist())
        hit, asked = 0, 0
        for row in np.random.default_rng(0).permutation(len(index.ids))[:questions]:
            question = index.stored(np.array([row]))[0]
            exact = ranking.nearest(self._table, question, count=10, where=None)
            got = self.search(question, created=created, count=10, where=None) or []
            hit += len({id_ for _, id_ in exact} & {id_ for _, id_ in got})
            asked += len(exact)
        return Check(
            missing=len(there - served),
            extra=len(served - there),
            stale=int((~step.live).sum()),
            fresh=len(step.fresh_ids),
            recall=hit / asked if asked else 1.0,
            goal=index.about.goal,
        )

    def _current(self, created: str) -> tuple[str, ServingIndex] | None:
        """The newest whole index of this table. One that cannot be read, or of an earlier table, does not serve."""
        with contextlib.suppress(OSError):
            names = sorted((one.name for one in self.folder.iterdir() if one.suffix != ".partial"), reverse=True)
            with self._mutex:
                for name in names:
                    if self._loaded is None or self._loaded[0] != name:
                        try:
                            self._loaded = (name, ServingIndex.load(self.folder / name))
                        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
                            continue
                    if self._loaded[1].about.created == created:
                        return self._loaded
        return None

    def _in_step(self, name: str, index: ServingIndex) -> Step:
        """The index against the newest version of the table; kept until the table changes."""
        with self._mutex:
            version = self._table.version()
            if self._step is not None and self._step[0] == name and self._step[1].version == version:
                return self._step[1]
            batches = list(self._table.rows(STAMP, batch_size=65536))
            ids = pa.concat_arrays([pa.array([], pa.string()), *(batch["id"] for batch in batches)])
            stamps = np.concatenate([np.empty(0, dtype=np.int64), *map(_stamps, batches)])
            place = pc.fill_null(pc.index_in(ids, value_set=index.arrow_ids), -1).to_numpy()
            same = (place >= 0) & (index.stamps[place] == stamps) if len(index.ids) else np.zeros(len(ids), dtype=bool)
            live = np.zeros(len(index.ids), dtype=bool)
            live[place[same]] = True
            fresh_ids = ids.filter(pa.array(~same)).to_pylist()
            step = Step(version=version, live=live, fresh_ids=frozenset(fresh_ids), fresh=self._rows(fresh_ids))
            self._step = (name, step)
            return step

    def _rows(self, ids: list[str]) -> pa.Table:
        schema = pa.schema([self._table.schema().field(name) for name in ("id", "vector")])
        batches = [
            batch
            for start in range(0, len(ids), IDS_AT_ONCE)
            for batch in self._table.rows(["id", "vector"], where=one_of("id", ids[start : start + IDS_AT_ONCE]))
        ]
        return pa.Table.from_batches([batch.select(["id", "vector"]).cast(schema) for batch in batches], schema)

    def _ids(self, where: str | None) -> pa.Array:
        batches = self._table.rows(["id"], where=where, batch_size=65536)
        return pa.concat_arrays([pa.array([], pa.string()), *(batch["id"] for batch in batches)])


def _member(ids: pa.Array, among: pa.Array) -> Mask:
    member: Mask = pc.is_in(ids, value_set=among).to_numpy(zero_copy_only=False)
    return member


def _stamps(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """What changes whenever a row is written with other content or anew: int64 (n,)."""
    times = batch["indexed_at"].cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{content} {time}".encode(), digest_size=8).digest(), "big", signed=True)
            for content, time in zip(batch["content_hash"].to_pylist(), times, strict=True)
        ],
        dtype=np.int64,
    )
