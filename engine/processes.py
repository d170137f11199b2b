"""Starts processes that work for this one: on other cores, and where what crashes or hangs takes nothing along."""

import os
import signal
import threading
import time
from typing import Any

NICE = 10
"""How much the system is to prefer this process where both want a core."""

UNSTARTED = (AssertionError, ImportError, OSError)
"""What loky raises where no process can be started: in a daemonic process, or with /dev/shm read-only or full."""


def start(count: int, *, idle: float | None) -> Any:
    """Returns a `loky.ProcessPoolExecutor` of so many processes.

    Args:
        idle: seconds without work after which a process ends; None: it does not.
    """
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(count, timeout=idle, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent: int) -> None:
    """Ctrl-C is the parent's affair; and without the parent there is nothing to do, however it died.

    What C libraries write about broken images names no file, and is nothing to read between lines of progress. An
    encoder on the CPU goes first: its threads wait for each other, so that one core taken from it stops them all.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if hasattr(os, "nice"):
        os.nice(NICE)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
