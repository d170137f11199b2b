"""What gpu.py measures with: a device, the time and memory that work takes on it."""

import gc
import statistics
import time
from collections.abc import Callable

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


def host_peak() -> int:
    """Most memory that this process has had, bytes."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
