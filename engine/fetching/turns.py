"""Limits the rate of requests to each host, and how many run at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

KEPT = 1024
"""Number of hosts from which on all idle ones are forgotten, not only the host just used."""


@dataclass(kw_only=True)
class _Host:
    changed: threading.Condition
    active: int = 0
    waiting: int = 0
    free_from: float = 0.0  # time.monotonic seconds of the next start


class Turns:
    """Makes threads wait for their turn at a host. Memory grows with the hosts in use, not with those ever seen.

    Args:
        at_once: maximum number of concurrent turns at one host.
        interval: minimum seconds between the starts of two turns at one host.
    """

    def __init__(self, at_once: int, interval: float = 0.0) -> None:
        self._at_once = at_once
        self._interval = interval
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    @contextmanager
    def turn(self, host: str) -> Iterator[float]:
        """Waits for a turn at a host and holds it; yields the seconds waited."""
        queued_at = time.monotonic()
        with self._lock:
            state = self._hosts.setdefault(host, _Host(changed=threading.Condition(self._lock)))
            state.waiting += 1
            try:
                while True:
                    pause = state.free_from - time.monotonic()
                    if state.active >= self._at_once:
                        state.changed.wait()
                    elif pause > 0:
                        state.changed.wait(pause)
                    else:
                        break
                state.active += 1
                started = time.monotonic()
                state.free_from = started + self._interval
            finally:
                state.waiting -= 1
        try:
            yield started - queued_at
        finally:
            with self._lock:
                state.active -= 1
                state.changed.notify()
                self._forget(host)

    def _forget(self, host: str) -> None:
        """Forgets the host if it is idle; with `KEPT` hosts or more, forgets every idle one."""
        now = time.monotonic()
        for name in [host] if len(self._hosts) < KEPT else list(self._hosts):
            state = self._hosts[name]
            if not state.active and not state.waiting and state.free_from <= now:
                del self._hosts[name]
