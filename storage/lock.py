"""One writer per collection, across processes."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oneword.storage.errors import Locked, StoreUnavailable


class WriterLock:
    """An operating-system lock on a file that names its holder.

    The system releases the lock when its holder dies, so no stale lock can remain, and the file is never removed
    (removing it would let two processes lock two files of one name). Re-entrant: threads that share the object share
    the lock.
    """

    def __init__(self, file: Path, name: str) -> None:
        """name: of the collection, for messages."""
        self.file, self.name = file, name
        self._mutex = threading.Lock()
        self._depth = 0
        self._lock: Any = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._depth > 0

    @contextmanager
    def hold(self, timeout: float = 0.0) -> Iterator[None]:
        """Hold the lock for a `with` block.

        timeout: seconds to wait for another holder.

        Raises:
            Locked: another process, or another object in this one, still holds it.
            StoreUnavailable: the lock file cannot be created or opened.
        """
        with self._mutex:
            if self._depth == 0:
                self._acquire(timeout)
            self._depth += 1
        try:
            yield
        finally:
            with self._mutex:
                self._depth -= 1
                if self._depth == 0:
                    self._lock.release()

    def _acquire(self, timeout: float) -> None:
        from filelock import FileLock, Timeout

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # thread_local=False: the thread that leaves last may not be the one that entered first.
            self._lock = FileLock(self.file, thread_local=False)
            self._lock.acquire(timeout=timeout, poll_interval=0.02)
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": " ".join(sys.argv)[:200],
            }
            self.file.write_text(json.dumps(holder) + "\n", encoding="utf-8")
        except Timeout:
            raise Locked(self.name, str(self.file), self._holder()) from None
        except OSError as error:
            raise StoreUnavailable(str(self.file.parent), f"lock {self.file.name}", error) from error

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the holder has the lock and has not written yet
        return holder if isinstance(holder, dict) else {}
