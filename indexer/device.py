"""The encoder's own thread: it works on one group while the next one is begun."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from oneword.indexer.reading_ahead import ENOUGH
from oneword.indexer.stages import Stages
from oneword.indexer.vectors import BegunGroup
from oneword.indexer.writing import Done

IDLE = 0.1
"""Seconds without work after which a group may be as small as it is."""


class Device:
    """Has one group in hand at a time. Used by one thread, but for `least`."""

    def __init__(self, stages: Stages) -> None:
        self._stages, self._thread = stages, ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._begun: BegunGroup | None = None
        self._running: Future[list[Done]] | None = None
        self._idle_since = time.perf_counter()

    @property
    def idle(self) -> bool:
        """Whether there is nothing that it works on."""
        return self._running is None or self._running.done()

    @property
    def least(self) -> float:
        """What share of a full group is wanted now: all of one, less for the last batch's time, anything when idle."""
        if self.idle:
            return ENOUGH if time.perf_counter() - self._idle_since < IDLE else 0
        return ENOUGH if self._begun is None or self._begun.ending else 1

    def exchange(self, begun: BegunGroup | None) -> Sequence[Done]:
        """Waits for the group in hand, starts the next one, and returns what became of the one before."""
        done = self._running.result() if self._running else []
        self._begun, self._running = begun, None if begun is None else self._thread.submit(self._run, begun)
        return done

    def close(self) -> None:
        """Waits for what it has begun."""
        self._thread.shutdown()

    def _run(self, begun: BegunGroup) -> list[Done]:
        self._stages.add("wait", time.perf_counter() - self._idle_since)
        try:
            return begun.result()
        finally:
            self._idle_since = time.perf_counter()
