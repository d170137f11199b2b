"""Where a job's time goes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds by stage. A stage that runs in several threads at once counts the time of each."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = dict.fromkeys(("read", "load", "wait", "encode", "write"), 0.0)
        self._mutex = threading.Lock()

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Adds what the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Adds seconds."""
        with self._mutex:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def as_dict(self) -> dict[str, float]:
        """JSON-ready: `read` sources and look up, `load` (read content, decode, split), `wait` (the encoder for its
        input), `encode`, `write`."""
        with self._mutex:
            return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}
