"""What gpu.py measures with: a device, the time and memory that work takes on it."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Skipped(Exception):
    """A section cannot run here."""


class Card:
    """The first CUDA device, or the CPU."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = "bf16" if self.device.type == "cuda" else "fp32"

    def drop(self) -> None:
        """Frees what nothing refers to any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def timed(self, work: Callable[[], object], times: int) -> float:
        """Median seconds of a call, after one that does not count."""
        work()
        took = []
        for _ in range(times):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            took.append(time.perf_counter() - began)
        return statistics.median(took)

    def wait(self) -> None:
        """Until the card has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self) -> float | None:
        """Most of the card's memory since the last `drop`, GiB."""
        return round(torch.cuda.max_memory_allocated() / 2**30, 1) if self.device.type == "cuda" else None

    @contextmanager
    def measured(self, encoder: Any, busy: list[float]) -> Iterator[None]:
        """Adds to `busy` the seconds between the beginning and the end of each forward pass on the card."""
        forward, finish, events = encoder.forward, encoder.finish, []

        def timed_forward(batch: Any) -> Any:
            if self.device.type != "cuda":
                began = time.perf_counter()
                raw = forward(batch)
                busy[0] += time.perf_counter() - began
                return raw
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            raw = forward(batch)
            last.record()
            events.append((first, last))
            return raw

        def timed_finish(raw: Any) -> Any:
            vectors = finish(raw)  # waits for the card
            while events:
                first, last = events.pop()
                busy[0] += first.elapsed_time(last) / 1000
            return vectors

        encoder.forward, encoder.finish = timed_forward, timed_finish
        try:
            yield
        finally:
            del encoder.forward, encoder.finish


def host_peak() -> int:
    """Most memory that this process has had, bytes."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
