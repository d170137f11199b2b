"""Keeps the ANN index of a collection: builds it, opens it, follows the table, and checks its files."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from oneword.storage.ann.build import build
from oneword.storage.ann.check import check, no_index
from oneword.storage.ann.delta import IndexDelta, diff_index
from oneword.storage.ann.files import IndexInfo, changed
from oneword.storage.ann.index import AnnIndex, Vectors
from oneword.storage.ann.ranking import AnnRanking, search_together
from oneword.storage.ann.rows import Mask, RowSet, addresses_of
from oneword.storage.confidence import Confidence
from oneword.storage.config import RESERVE, AnnKind, StorageConfig
from oneword.storage.durability import sync_folder
from oneword.storage.errors import MissingGpu
from oneword.storage.info import IndexCheck
from oneword.storage.snapshot import Snapshot

log = logging.getLogger(__name__)

DELTAS = 4  # versions of the table whose delta is cached
FILTERS = 32  # filters whose rows are cached
WORTH_BUILDING = 2**22
"""Numbers (rows x dimensions) written since the build, 16 MB to compare in each search, from which a build is due."""
DEAD_SHARE = 0.2  # of the rows of an index, from which a build is due
CHECKED_AT_ONCE = 2**26
"""Bytes of a file up to which its digest is compared before the index is used; larger files are checked in the
background."""
REVISIT = 60.0
"""Seconds between two checks of the files of the index in use: those of up to 64 MiB, and a sample of rows."""
SAMPLED = 256  # rows in each check
SIZE_FACTOR = 1.3  # size of an index over that of its vectors and items; codes and centroids are the rest
DOCUMENT = 500  # bytes of an item without its thumbnail, a generous estimate
PAUSE = 300.0  # seconds after a build that failed for want of disk space before the next attempt
TRIES = 3  # at checking an index that builds replace meanwhile

Unrelated = Callable[[], NDArray[np.floating] | None]
"""Returns vectors (m, d) of texts that have nothing to do with the collection, or None: see `Confidence.measure`."""

Passing = tuple[RowSet | None, Mask | None]
Key = TypeVar("Key")
Value = TypeVar("Value")


class IndexKeeper:
    """The ANN indexes of one table, of which the newest complete one is used. Safe for threads and processes.

    Args:
        folder: holds the indexes, each in a folder of its own.
        config: how they are held.
    """

    def __init__(self, folder: Path, config: StorageConfig) -> None:
        self.folder, self._config = folder, config
        self._mutex = threading.RLock()
        self._names: tuple[str, ...] = ()
        self._used: tuple[str, AnnIndex] | None = None
        self._deltas: OrderedDict[tuple[str, int], IndexDelta] = OrderedDict()
        self._filters: OrderedDict[tuple[str, int, str], Passing] = OrderedDict()
        self._builder: threading.Thread | None = None
        self._distrusted: set[str] = set()
        self._not_before = 0.0

    def build(
        self,
        snapshot: Snapshot,
        *,
        goal: float = 0.99,
        kind: AnnKind | None = None,
        threads: int | None = None,
        unrelated: Unrelated | None = None,
    ) -> IndexInfo:
        """Build an index of that version and switch to it; searches go on meanwhile. One build runs at a time.

        Args:
            goal: recall@10 to reach.
            kind: of structure, one of `oneword.storage.config.INDEXES`; None: the configured one.
            threads: for FAISS; None: all.
            unrelated: see `Unrelated`; called if no earlier index has them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            return self._build(snapshot, goal, kind, threads, unrelated)

    def build_aside(
        self, snapshot: Snapshot, *, goal: float = 0.99, unrelated: Unrelated | None = None
    ) -> threading.Thread | None:
        """`build` in a thread, which is returned; None if a build is running here or in another process."""
        with self._mutex:
            alive = self._builder is not None and self._builder.is_alive()
            if alive or time.monotonic() < self._not_before:
                return None
            self._builder = threading.Thread(
                target=self._try_build, args=(snapshot, goal, unrelated), name="build", daemon=True
            )
            self._builder.start()
            return self._builder

    def info(self, snapshot: Snapshot) -> IndexInfo | None:
        """The description of the index in use, if any."""
        found = self._current(snapshot)
        return found[1].info if found else None

    def confidence(self, snapshot: Snapshot) -> Confidence | None:
        """What the index in use knows of scores, if there is one that does."""
        found = self._current(snapshot)
        return found[1].confidence if found else None

    def built(self, snapshot: Snapshot) -> float | None:
        """When the index in use was built, in seconds since 1970; None if there is none."""
        found = self._current(snapshot)
        return int(found[0].rpartition("-")[2]) / 1e9 if found else None

    def rankings(self, snapshot: Snapshot, queries: Sequence[Vectors], where: str | None) -> list[AnnRanking] | None:
        """The rows nearest to each query, or None if no index can be used for this version.

        Args:
            queries: float32 (d,) each, unit length.
            where: SQL.
        """
        found = self._current(snapshot)
        if found is None:
            if self.damaged and self._config.rebuilds:
                self.build_aside(snapshot)
            return None
        name, index = found
        delta = self._delta(name, index, snapshot)
        if delta.fresh is None:
            return None
        allowed, fresh = self._passing(name, index, delta, snapshot, where)
        return search_together(
            [
                AnnRanking(index=index, delta=delta, query=query, allowed=allowed, fresh_allowed=fresh)
                for query in queries
            ]
        )

    def due(self, snapshot: Snapshot) -> bool:
        """Whether a build would make searches faster."""
        found = self._current(snapshot)
        if found is None:
            return snapshot.table.count() > 0
        name, index = found
        delta = self._delta(name, index, snapshot)
        if delta.fresh is None or len(delta.fresh.items) * index.info.dimension > WORTH_BUILDING:
            return True
        return delta.dead > DEAD_SHARE * max(index.info.rows, 1)

    def check(self, snapshot: Snapshot, *, queries: int = 100) -> IndexCheck | None:
        """Compare the index in use with that version; None if there is no index. queries: sampled for the recall."""
        for tries_left in reversed(range(TRIES)):
            found = self._current(snapshot)
            if found is None:
                break
            name, index = found
            try:
                delta = self._delta(name, index, snapshot)
                return check(index, self.folder / name, delta, snapshot, queries=queries)
            except FileNotFoundError:  # a build has just replaced it: check the next one
                if not tries_left:
                    raise
        there = sorted(one.name for one in self.folder.glob("*") if one.suffix != ".partial")
        return no_index(snapshot.table.count(), there) if there else None

    def remove(self) -> None:
        """Remove the indexes. One in use here is kept in memory until it is released."""
        for one in self.folder.glob("*"):
            shutil.rmtree(one, ignore_errors=True)

    def distrust(self, name: str | None, reason: object) -> None:
        """Stop using a damaged index, by default the current one: the table is searched, and a build is due."""
        with self._mutex:
            name = name or (self._used[0] if self._used else None)
            if name is None:
                return
            log.error("%s: this ANN index is damaged (%s); searches use the table", self.folder / name, reason)
            self._distrusted.add(name)
            self._used, self._names = None, ()

    @property
    def distrusted(self) -> int:
        """Number of damaged indexes found since this object was created."""
        return len(self._distrusted)

    @property
    def damaged(self) -> bool:
        """Whether searches use the table because the newest index is damaged."""
        return self._used is None and bool(self._distrusted)

    def check_files(self, name: str, index: AnnIndex, *, least: int = -1, most: float = float("inf")) -> bool:
        """Compare files of more than `least` and up to `most` bytes with their digests, and a sample of rows.

        Returns whether the index is still in use.
        """
        if self._used is None or self._used[0] != name:
            return False
        try:
            wrong = changed(self.folder / name, index.info, least=least, most=most)
            rows = np.random.default_rng().integers(0, max(index.info.rows, 1), min(SAMPLED, index.info.rows))
            for row in rows.tolist():
                _ = index.stored(np.array([row])), index.documents[row]
        except OSError:  # replaced by a build
            return False
        except Exception as error:  # a reader of a damaged file may raise anything
            self.distrust(name, error)
            return False
        if wrong:
            self.distrust(name, f"{', '.join(wrong)}: changed since it was written")
        return not wrong

    def _build(
        self,
        snapshot: Snapshot,
        goal: float,
        kind: AnnKind | None,
        threads: int | None,
        unrelated: Unrelated | None,
    ) -> IndexInfo:
        known = self.confidence(snapshot)
        texts = known.unrelated if known else None
        if texts is None and unrelated is not None:
            texts = unrelated()
        name = f"{snapshot.version:012d}-{time.time_ns():020d}"  # the newest sorts last
        for left in self.folder.glob("*.partial"):  # of a build that was killed, as only one holds the lock
            shutil.rmtree(left, ignore_errors=True)
        self._check_space(snapshot)
        partial = self.folder / f"{name}.partial"
        partial.mkdir()
        try:
            info = build(
                snapshot, partial, goal=goal, kind=kind or self._config.index, threads=threads, unrelated=texts
            )
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(self.folder / name)
        sync_folder(self.folder)
        for old in self.folder.iterdir():  # files that a process still has open are freed when it closes them
            if old.name < name or old.suffix == ".partial":
                shutil.rmtree(old, ignore_errors=True)
        return info

    def _check_space(self, snapshot: Snapshot) -> None:
        """An index must not take the disk space that writes to the table need."""
        dimension = snapshot.schema.field("vector").type.list_size
        needed = int(SIZE_FACTOR * snapshot.table.count() * (2 * dimension + DOCUMENT))
        free = shutil.disk_usage(self.folder).free
        if free - needed < RESERVE:
            raise OSError(
                errno.ENOSPC,
                f"an index takes about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free, of which "
                f"{RESERVE / 1e6:,.0f} MB are kept for the table; free some space",
            )

    def _try_build(self, snapshot: Snapshot, goal: float, unrelated: Unrelated | None) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(timeout=0):
                self._build(snapshot, goal, None, max(1, (os.cpu_count() or 1) // 2), unrelated)
        except Timeout:
            log.info("%s: another process is building it", self.folder)
        except FileNotFoundError:
            log.info("%s: the collection was dropped, or its index removed, during the build", self.folder)
        except OSError as error:
            self._not_before = time.monotonic() + PAUSE
            log.warning("%s: the ANN index was not built: %s", self.folder, error.strerror or error)
        except Exception:  # the table is searched, and the next call of `due` leads to another attempt
            log.exception("%s: the ANN index could not be built", self.folder)

    def _lock(self, timeout: float = -1) -> contextlib.AbstractContextManager[object]:
        return FileLock(f"{self.folder}.lock", timeout=timeout, thread_local=False)

    def _current(self, snapshot: Snapshot) -> tuple[str, AnnIndex] | None:
        """The newest readable index of this table. An index of an earlier table of the name is not used."""
        try:
            names = tuple(os.listdir(self.folder))  # noqa: PTH208 - called in every search
        except OSError:
            return None
        with self._mutex:
            if names != self._names:
                self._open_newest(names)
                self._names = names  # not where a GPU or memory is missing: then the next search tries again
            used = self._used
        return used if used and used[1].info.created == snapshot.created else None

    def _open_newest(self, names: tuple[str, ...]) -> None:
        complete = (name for name in names if not name.endswith(".partial") and name not in self._distrusted)
        for name in sorted(complete, reverse=True):
            if self._used and self._used[0] == name:
                return
            try:
                index = AnnIndex(self.folder / name, self._config)
                wrong = changed(self.folder / name, index.info, most=CHECKED_AT_ONCE)
                if wrong:
                    raise ValueError(f"{', '.join(wrong)} changed since they were written")
            except MissingGpu:
                raise
            except Exception as error:  # a reader of a damaged file may raise anything
                log.warning("%s: this ANN index cannot be used (%s); build it again", self.folder / name, error)
                self._distrusted.add(name)
                continue
            self._used = (name, index)
            threading.Thread(target=_watch, args=(weakref.ref(self), name, index), name="check", daemon=True).start()
            self._deltas.clear()  # of the previous index
            self._filters.clear()
            return
        self._used = None

    def _delta(self, name: str, index: AnnIndex, snapshot: Snapshot) -> IndexDelta:
        """Cached until the table changes; computed by one thread."""
        key = (name, snapshot.version)
        with self._mutex:
            if (cached := _get(self._deltas, key)) is not None:
                return cached
            before = next((known for (of, _), known in reversed(self._deltas.items()) if of == name), None)
            delta = diff_index(index, snapshot.table, snapshot.version, before)
            _put(self._deltas, key, delta, DELTAS)
            return delta

    def _passing(self, name: str, index: AnnIndex, delta: IndexDelta, snapshot: Snapshot, where: str | None) -> Passing:
        """The live rows of the index, and the fresh rows, that pass the filter; None: all."""
        key = (name, delta.version, where or "")
        with self._mutex:
            if (cached := _get(self._filters, key)) is not None:
                return cached
        if where is None:
            passing: Passing = (None if delta.live is None else RowSet(delta.live), None)
        else:
            addresses = addresses_of(snapshot.table, where)
            rows = delta.addresses.rows_of(addresses)
            mask = np.zeros(index.info.rows, dtype=bool)
            mask[rows[rows >= 0]] = True
            assert delta.fresh is not None
            passing = (RowSet(mask), np.isin(delta.fresh.addresses, addresses))
        with self._mutex:
            _put(self._filters, key, passing, FILTERS)
        return passing


def _watch(keeper_ref: weakref.ref[IndexKeeper], name: str, index: AnnIndex) -> None:
    """In a thread: check the files of an index, the large ones once and the others again and again."""
    least, most = CHECKED_AT_ONCE, float("inf")
    while (keeper := keeper_ref()) is not None and keeper.check_files(name, index, least=least, most=most):
        del keeper
        least, most = -1, CHECKED_AT_ONCE
        time.sleep(REVISIT)


def _get(cache: OrderedDict[Key, Value], key: Key) -> Value | None:
    if key in cache:
        cache.move_to_end(key)
    return cache.get(key)


def _put(cache: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    cache[key] = value
    while len(cache) > most:
        cache.popitem(last=False)
