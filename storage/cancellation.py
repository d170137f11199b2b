"""Cancellation of reads whose result nobody waits for.

cancellation = Cancellation()
with cancellation.applied():     # in the thread that reads
    collection.search(...)       # raises Cancelled soon after
cancellation.cancel()            # was called in another thread
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Cancelled(BaseException):
    """The work was cancelled. Not an Exception, as in asyncio: handlers of failures do not catch it."""


class Cancellation:
    """Cancels one piece of work, which one thread does, from any thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._cancelled = False
        self._end: Callable[[], object] | None = None

    def cancel(self) -> None:
        """End the work at its next `check`, or by ending what it waits for."""
        with self._mutex:
            self._cancelled = True
            end = self._end
        if end is not None:
            end()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Make the work of this thread in a `with` block cancellable."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def waiting(self, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` if the work is cancelled in the `with` block."""
        with self._mutex:
            self._end = end
        try:
            self.check()
            yield
        finally:
            with self._mutex:
                self._end = None

    def check(self) -> None:
        """Raise Cancelled if the work was cancelled."""
        if self._cancelled:
            raise Cancelled


_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current() -> Cancellation | None:
    """The cancellation of this thread's work; None: it cannot be cancelled."""
    return _current.get()


def check() -> None:
    """Raise Cancelled if this thread's work was cancelled."""
    if (cancellation := _current.get()) is not None:
        cancellation.check()
