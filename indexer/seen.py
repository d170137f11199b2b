"""What a running job has met: ids of inputs and hashes of content. On disk, so that memory does not grow."""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from oneword.indexer.errors import TemporarySpace

CACHE = 32_000  # KiB of memory for pages


class Seen:
    """A temporary SQLite database. It is no ledger: what is done is known from the collection alone.

    Safe from several threads.
    """

    def __init__(self) -> None:
        self._folder = _temporary()
        self._mutex = threading.Lock()
        with self._asking():
            self._database = sqlite3.connect(Path(self._folder.name, "seen.db"), check_same_thread=False)
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE}", "locking_mode=EXCLUSIVE"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, digest BLOB) WITHOUT ROWID")
            self._database.execute("CREATE TABLE hashes (hash INTEGER PRIMARY KEY)")
            self._database.execute("CREATE TABLE captions (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> "Seen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One thread at a time; what SQLite says of the disk is put in our words."""
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                raise TemporarySpace(self._folder.name, error) from error

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The digests of those ids that were met before."""
        with self._asking():
            return dict(self._among("SELECT id, digest FROM ids WHERE id IN", ids))

    def meet(self, inputs: Iterable[tuple[str, bytes]]) -> None:
        """Remember ids, each with the digest of its entry; the first of an id stays."""
        with self._asking():
            self._database.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", inputs)

    def caption(self, ids: Iterable[str]) -> None:
        """Remember the ids that files would have which became captions of images."""
        with self._asking():
            self._database.executemany("INSERT OR IGNORE INTO captions VALUES (?)", ((one,) for one in ids))

    def captions(self, ids: Sequence[str]) -> set[str]:
        """Those ids that belong to captions."""
        with self._asking():
            return {one for (one,) in self._among("SELECT id FROM captions WHERE id IN", ids)}

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those ids that were not met."""
        met = self.digests(ids)
        return [one for one in ids if one not in met]

    def met_hashes(self, hashes: Iterable[str]) -> set[str]:
        """Those SHA-256 hashes (hex) that were met before; all are from now on.

        64 bits are kept of each, so that all of a large job's fit into memory: one of very many may be said to be met
        that was not.
        """
        wanted = {one: int(one[:16], 16) - 2**63 for one in hashes}
        with self._asking():
            met = {one for (one,) in self._among("SELECT hash FROM hashes WHERE hash IN", list(wanted.values()))}
            fresh = [(one,) for one in wanted.values() if one not in met]
            self._database.executemany("INSERT OR IGNORE INTO hashes VALUES (?)", fresh)
            return {one for one, number in wanted.items() if number in met}

    def _among(self, select: str, values: Sequence[Any], at_once: int = 500) -> Iterable[Any]:
        for start in range(0, len(values), at_once):
            some = values[start : start + at_once]
            yield from self._database.execute(f"{select} ({','.join('?' * len(some))})", some)


def _temporary() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="oneword-seen-")
    except OSError as error:
        raise TemporarySpace(os.environ.get("TMPDIR", "the system's temporary folder"), error) from error
