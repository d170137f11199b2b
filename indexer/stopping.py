"""Ctrl-C and SIGTERM: the first asks a job to end well, the second ends it."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)


class Stop(threading.Event):
    """Set once a signal has come; `exit_code` is the shell's for a process that one ended: 128 + its number."""

    exit_code = 0


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within the block the first signal sets the event; another one raises KeyboardInterrupt, as is usual."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.exit_code = 128 + number
        stop.set()
        log.warning("ending after the batch in hand; what is done gets committed (once more ends at once)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
