"""A collection's serving index: built, found, kept in step with the table, and checked against it."""

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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from oneword.storage.config import RESERVE, StorageConfig
from oneword.storage.durability import sync_folder
from oneword.storage.errors import MissingGpu
from oneword.storage.serving.about import About
from oneword.storage.serving.allowed import Allowed, Mask
from oneword.storage.serving.build import build, changed
from oneword.storage.serving.check import Check, check
from oneword.storage.serving.index import ServingIndex, Vectors
from oneword.storage.serving.ranking import ServedRanking, looked_up_together
from oneword.storage.serving.standing import Standing, addresses_of, stand
from oneword.storage.snapshot import Snapshot

log = logging.getLogger(__name__)

STANDINGS = 4  # versions of the table that are kept in step with
FILTERS = 32  # filters whose rows are kept
WORTH_BUILDING = 2**22
"""Numbers (rows x dimensions) written since the build, 16 MB to compare at each search: from here on a build is due."""
DEAD_SHARE = 0.2  # of an index's rows: from here on, too
CHECKED_AT_ONCE = 2**26
"""Bytes of a file up to which its digest is compared before it serves; a larger one's is in the background."""
REVISIT = 60.0
"""Seconds between two looks at the files of an index that serves: 64 MiB of each, and a sample of rows."""
SAMPLED = 256  # rows of each look
ROOM = 1.3
"""What an index takes, in its vectors and documents: codes and centroids come to less than a third of them."""
DOCUMENT = 500  # bytes of an item without its thumbnail, generously
PAUSE = 300.0
"""Seconds after a build that failed for the disk's sake before the next one is tried."""
TRIES = 3  # to check an index that builds replace meanwhile

Passing = tuple[Allowed | None, Mask | None]


class Serving:
    """The indexes of one table, of which the newest whole one serves. Safe from any number of threads and processes.

    Args:
        folder: where indexes lie, each in a folder of its own.
        config: how they are held.
    """

    def __init__(self, folder: Path, config: StorageConfig) -> None:
        self.folder, self._config = folder, config
        self._mutex = threading.RLock()
        self._names: tuple[str, ...] = ()
        self._served: tuple[str, ServingIndex] | None = None
        self._standings: OrderedDict[tuple[str, int], Standing] = OrderedDict()
        self._filters: OrderedDict[tuple[str, int, str], Passing] = OrderedDict()
        self._builder: threading.Thread | None = None
        self._distrusted: set[str] = set()
        self._not_before = 0.0

    def build(self, snapshot: Snapshot, *, goal: float = 0.99, threads: int | None = None, **options: int) -> About:
        """Builds an index of that version, and swaps it in; searches go on meanwhile. One build at a time.

        Args:
            goal: share of the ten nearest to be found.
            threads: that it may use; None: all.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            return self._build(snapshot, goal, threads, options)

    def build_aside(self, snapshot: Snapshot, *, goal: float = 0.99) -> threading.Thread | None:
        """As `build`, in a thread that is returned; None if someone builds already, here or in another process."""
        with self._mutex:
            alive = self._builder is not None and self._builder.is_alive()
            if alive or time.monotonic() < self._not_before:
                return None
            self._builder = threading.Thread(target=self._try_build, args=(snapshot, goal), name="build", daemon=True)
            self._builder.start()
            return self._builder

    def about(self, snapshot: Snapshot) -> About | None:
        """Of the index that serves, if there is one."""
        found = self._current(snapshot)
        return found[1].about if found else None

    def built(self, snapshot: Snapshot) -> float | None:
        """When the index that serves was built, in seconds since 1970; None if there is none."""
        found = self._current(snapshot)
        return int(found[0].rpartition("-")[2]) / 1e9 if found else None

    def rankings(
        self, snapshot: Snapshot, questions: Sequence[Vectors], where: str | None
    ) -> list[ServedRanking] | None:
        """The rows nearest to each question, or None if there is no index that can serve this version.

        Args:
            questions: float32 (d,) each, unit length.
            where: SQL.
        """
        found = self._current(snapshot)
        if found is None:
            if self.damaged and self._config.rebuilds:
                self.build_aside(snapshot)
            return None
        name, index = found
        standing = self._standing(name, index, snapshot)
        if standing.fresh is None:
            return None
        allowed, fresh = self._passing(name, index, standing, snapshot, where)
        served = [
            ServedRanking(index=index, standing=standing, question=question, allowed=allowed, fresh_allowed=fresh)
            for question in questions
        ]
        return looked_up_together(served)

    def due(self, snapshot: Snapshot) -> bool:
        """Whether a build would make searches quicker."""
        found = self._current(snapshot)
        if found is None:
            return snapshot.table.count() > 0
        name, index = found
        standing = self._standing(name, index, snapshot)
        if standing.fresh is None or len(standing.fresh.items) * index.about.dimension > WORTH_BUILDING:
            return True
        return standing.dead > DEAD_SHARE * max(index.about.rows, 1)

    def check(self, snapshot: Snapshot) -> Check | None:
        """Compares the index that serves with that version, or None if there is none."""
        for tries_left in reversed(range(TRIES)):
            found = self._current(snapshot)
            if found is None:
                break
            name, index = found
            try:
                return check(index, self.folder / name, self._standing(name, index, snapshot), snapshot)
            except FileNotFoundError:  # a build may have replaced it just now: then the next one is checked
                if not tries_left:
                    raise
        there = sorted(one.name for one in self.folder.glob("*") if one.suffix != ".partial")
        return Check.of_none(snapshot.table.count(), there) if there else None

    def _build(self, snapshot: Snapshot, goal: float, threads: int | None, options: dict[str, int]) -> About:
        name = f"{snapshot.version:012d}-{time.time_ns():020d}"  # the newest sorts last
        for left in self.folder.glob("*.partial"):  # of a build that was killed, as only one holds the lock
            shutil.rmtree(left, ignore_errors=True)
        self._check_space(snapshot)
        partial = self.folder / f"{name}.partial"
        partial.mkdir()
        try:
            about = build(snapshot, partial, goal=goal, threads=threads, **options)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(self.folder / name)
        sync_folder(self.folder)
        for old in self.folder.iterdir():  # an index that someone still reads stays on disk until it is let go
            if old.name < name or old.suffix == ".partial":
                shutil.rmtree(old, ignore_errors=True)
        return about

    def _check_space(self, snapshot: Snapshot) -> None:
        """An index is derived: it must not take the space that the table needs to be written."""
        dimension = snapshot.schema.field("vector").type.list_size
        wanted = int(ROOM * snapshot.table.count() * (2 * dimension + DOCUMENT))
        free = shutil.disk_usage(self.folder).free
        if free - wanted < RESERVE:
            raise OSError(
                errno.ENOSPC,
                f"an index takes about {wanted / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free, of which "
                f"{RESERVE / 1e6:,.0f} MB are kept for the table; free some space",
            )

    def _try_build(self, snapshot: Snapshot, goal: float) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(timeout=0):
                self._build(snapshot, goal, max(1, (os.cpu_count() or 1) // 2), {})
        except Timeout:
            log.info("%s: another process builds already", self.folder)
        except FileNotFoundError:
            log.info("%s: the collection was dropped, or its index removed, while one was built", self.folder)
        except OSError as error:
            self._not_before = time.monotonic() + PAUSE
            log.warning("%s: the serving index was not built: %s", self.folder, error.strerror or error)
        except Exception:  # the table still answers, and the next one to ask whether a build is due tries again
            log.exception("%s: the serving index could not be built", self.folder)

    def _lock(self, timeout: float = -1) -> contextlib.AbstractContextManager[object]:
        return FileLock(f"{self.folder}.lock", timeout=timeout, thread_local=False)

    def _current(self, snapshot: Snapshot) -> tuple[str, ServingIndex] | None:
        """The newest whole index of this table. One that cannot be read, or of an earlier table, does not serve."""
        try:
            names = tuple(os.listdir(self.folder))  # noqa: PTH208 - asked at every search
        except OSError:
            return None
        with self._mutex:
            if names != self._names:
                self._serve_newest(names)
                self._names = (
                    names  # not where it failed for want of a GPU or of memory: then the next search does, too
                )
            served = self._served
        return served if served and served[1].about.created == snapshot.created else None

    def _serve_newest(self, names: tuple[str, ...]) -> None:
        whole = sorted(
            (name for name in names if not name.endswith(".partial") and name not in self._distrusted), reverse=True
        )
        for name in whole:
            if self._served and self._served[0] == name:
                return
            try:
                index = ServingIndex(self.folder / name, self._config)
                wrong = changed(self.folder / name, index.about, most=CHECKED_AT_ONCE)
                if wrong:
                    raise ValueError(f"{', '.join(wrong)} changed since they were written")
            except MissingGpu:
                raise
            except Exception as error:  # whatever a damaged file makes its reader raise; the table answers
                log.warning("%s: this serving index cannot be used (%s); build it again", self.folder / name, error)
                self._distrusted.add(name)
                continue
            self._served = (name, index)
            threading.Thread(target=_watch, args=(weakref.ref(self), name, index), name="check", daemon=True).start()
            self._standings.clear()  # of the index that serves no more
            self._filters.clear()
            return
        self._served = None

    def remove(self) -> None:
        """Removes the indexes: they can be built again. One that serves here goes on until it is let go."""
        for one in self.folder.glob("*"):
            shutil.rmtree(one, ignore_errors=True)

    def distrust(self, name: str | None, reason: object) -> None:
        """Lets an index serve no more, or the one that does: the table answers, and a build is due."""
        with self._mutex:
            name = name or (self._served[0] if self._served else None)
            if name is None:
                return
            log.error("%s: this serving index is damaged (%s); searches ask the table", self.folder / name, reason)
            self._distrusted.add(name)
            self._served, self._names = None, ()

    @property
    def distrusted(self) -> int:
        """Indexes that were found to be damaged since this object was made."""
        return len(self._distrusted)

    @property
    def damaged(self) -> bool:
        """Whether searches ask the table because the newest index is damaged."""
        return self._served is None and bool(self._distrusted)

    def check_files(self, name: str, index: ServingIndex, *, least: int = -1, most: float = float("inf")) -> bool:
        """Compares files of more than `least` bytes and up to `most` with what was written; whether it still serves."""
        if self._served is None or self._served[0] != name:
            return False
        try:
            wrong = changed(self.folder / name, index.about, least=least, most=most)
            rows = np.random.default_rng().integers(0, max(index.about.rows, 1), min(SAMPLED, index.about.rows))
            for row in rows.tolist():
                _ = index.stored(np.array([row])), index.documents[row]
        except OSError:  # replaced by a build
            return False
        except Exception as error:  # as in a search: a damaged file may make its reader raise anything
            self.distrust(name, error)
            return False
        if wrong:
            self.distrust(name, f"{', '.join(wrong)}: changed since it was written")
        return not wrong

    def _standing(self, name: str, index: ServingIndex, snapshot: Snapshot) -> Standing:
        """Kept until the table changes; one thread works it out."""
        key = (name, snapshot.version)
        with self._mutex:
            kept = self._standings.get(key)
            if kept is not None:
                self._standings.move_to_end(key)
                return kept
            before = next((known for (of, _), known in reversed(self._standings.items()) if of == name), None)
            standing = stand(index, snapshot.table, snapshot.version, before)
            _keep(self._standings, key, standing, STANDINGS)
            return standing

    def _passing(
        self, name: str, index: ServingIndex, standing: Standing, snapshot: Snapshot, where: str | None
    ) -> Passing:
        """Which rows of the index, and which fresh ones, are there and pass the filter; None: all."""
        key = (name, standing.version, where or "")
        with self._mutex:
            kept = self._filters.get(key)
            if kept is not None:
                self._filters.move_to_end(key)
                return kept
        if where is None:
            passing: Passing = (None if standing.live is None else Allowed(standing.live), None)
        else:
            addresses = addresses_of(snapshot.table, where)
            rows = standing.places.rows_of(addresses)
            mask = np.zeros(index.about.rows, dtype=bool)
            mask[rows[rows >= 0]] = True
            assert standing.fresh is not None
            passing = (Allowed(mask), np.isin(standing.fresh.addresses, addresses))
        with self._mutex:
            _keep(self._filters, key, passing, FILTERS)
        return passing


def _watch(serving: weakref.ref[Serving], name: str, index: ServingIndex) -> None:
    """In a thread: compares an index with what was written, the large files once and the others again and again."""
    least, most = CHECKED_AT_ONCE, float("inf")
    while (keeper := serving()) is not None and keeper.check_files(name, index, least=least, most=most):
        del keeper
        least, most = -1, CHECKED_AT_ONCE
        time.sleep(REVISIT)


def _keep(among: OrderedDict, key: object, value: object, most: int) -> None:  # type: ignore[type-arg]
    among[key] = value
    while len(among) > most:
        among.popitem(last=False)
