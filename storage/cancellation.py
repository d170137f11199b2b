"""Reading that nobody waits for any more ends early.

cancellation = Cancellation()
with cancellation.applied():     # in the thread that reads
    collection.search(...)       # raises Cancelled soon after
cancellation.cancel()            # was called in another
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Cancelled(BaseException):
    """The work was cancelled. No Exception, as in asyncio: what handles failures does not handle this."""


class Cancellation:
    """Of one piece of work, which one thread does and any may cancel."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._cancelled = False
        self._end: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Ends the work: at its next `check`, or by ending what it waits for."""
        with self._mutex:
            self._cancelled = True
            end = self._end
        if end is not None:
            end()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """What this thread does in the block can be cancelled."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def waiting(self, end: Callable[[], object]) -> Iterator[None]:
        """Calls `end` if the work is cancelled in the block."""
        with self._mutex:
            self._end = end
        try:
            self.check()
            yield
        finally:
            with self._mutex:
                self._end = None

    def check(self) -> None:
        """Raises Cancelled, if it is."""
        if self._cancelled:
            raise Cancelled


_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current() -> Cancellation | None:
    """Of the work that this thread does; None: it cannot be cancelled."""
    return _current.get()


def check() -> None:
    """Raises Cancelled, if the work that this thread does was cancelled."""
    if (cancellation := _current.get()) is not None:
        cancellation.check()
