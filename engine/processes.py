"""Starts worker processes: they use other cores, and a crash or hang in one does not affect this process."""

import os
import signal
import threading
import time
import warnings
from typing import Any

NICE = 10
"""Niceness of worker processes, which yield to this one."""

UNSTARTED = (AssertionError, ImportError, OSError)
"""What loky raises where no process can be started: in a daemonic process, or with /dev/shm read-only or full."""


_inside: list[int] = []


def inside() -> bool:
    """Whether this is a process that `start` started."""
    return bool(_inside)


def start(count: int, *, idle: float | None) -> Any:
    """Returns a `loky.ProcessPoolExecutor`.

    Args:
        count: number of processes.
        idle: seconds without work after which a process ends; None: never.
    """
    from loky import ProcessPoolExecutor

    # It replaces a process that has grown by 300 MB, as a large page makes it: that is what it should do.
    warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)
    return ProcessPoolExecutor(count, timeout=idle, initializer=_begin, initargs=(os.getpid(),))


def works(pool: Any) -> bool:
    """Whether a pool of `start` takes calls: it was not shut down, and none of its processes crashed."""
    return pool._flags.broken is None and not pool._flags.shutdown


def _begin(parent: int) -> None:
    """Ignores Ctrl-C, which the parent handles, and ends with the parent, however that ends.

    Standard error is dropped: C libraries write about broken images there without naming a file. The process is nice
    because the threads of an encoder on the CPU wait for each other: a core taken from one stops them all.
    """
    _inside.append(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if hasattr(os, "nice"):
        os.nice(NICE)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
