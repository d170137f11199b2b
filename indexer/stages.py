"""Where a job's time goes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")

STAGES = ("start", "wait", "encode", "hand over", "commit", "delete", "compact", "index", "build")
"""`start`: open the store, load the model; `wait`: the encoder for its inputs; `encode`; `hand over` what is encoded to
the thread that commits; `commit` what is left; `delete` what is missing; `compact` the table; `index` metadata and
words; `build` the ANN index."""

BESIDE = ("list", "compare", "read", "decode", "load", "commit")
"""`list` sources and parse tables; `compare` with what is stored; `read` contents; `decode` images, in processes;
`load`: hash and split texts; `commit`."""


class Stages:
    """The stages of a job, one after the other, whose seconds add up to its time; and what threads do beside.

    They are those of its encoder, which all else is to keep busy. Safe from several threads.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._stage, self._since = "start", time.perf_counter()
        self._stages = dict.fromkeys(STAGES, 0.0)
        self._beside = dict.fromkeys(BESIDE, 0.0)
        self._inner = threading.local()

    def enter(self, stage: str) -> None:
        """Ends the stage before, whichever thread began it."""
        with self._mutex:
            now = time.perf_counter()
            self._stages[self._stage] += now - self._since
            self._stage, self._since = stage, now

    @contextmanager
    def beside(self, work: str) -> Iterator[None]:
        """Times the block in this thread, without the blocks inside it, which are timed themselves."""
        outer = getattr(self._inner, "seconds", 0.0)
        self._inner.seconds, began = 0.0, time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.add(work, took - self._inner.seconds)
            self._inner.seconds = outer + took

    def timed(self, work: str, call: Callable[Given, Found]) -> Callable[Given, Found]:
        """The function, timed as `beside`."""

        @wraps(call)
        def run(*given: Given.args, **named: Given.kwargs) -> Found:
            with self.beside(work):
                return call(*given, **named)

        return run

    def add(self, work: str, seconds: float) -> None:
        """Adds to what is done beside."""
        with self._mutex:
            self._beside[work] = self._beside.get(work, 0.0) + seconds

    def as_dicts(self) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds by stage until now, see `STAGES`; and of work beside, threads added up, see `BESIDE`."""
        self.enter(self._stage)
        with self._mutex:
            return tuple({one: round(took, 3) for one, took in of.items()} for of in (self._stages, self._beside))  # type: ignore[return-value]
