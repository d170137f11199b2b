"""Politeness: so many requests at once to one host, and not too fast after each other."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

KEPT = 1024
"""From so many hosts on, those that nobody asks are forgotten."""


@dataclass(kw_only=True)
class _Host:
    changed: threading.Condition
    active: int = 0
    waiting: int = 0
    free_from: float = 0.0  # time.monotonic seconds of the next start


class Turns:
    """Gives threads their turns at hosts. Memory grows with the hosts in use, not with those ever seen.

    Args:
        at_once: most turns at one host at the same time.
        interval: least seconds between the starts of two turns at one host.
    """

    def __init__(self, at_once: int, interval: float = 0.0) -> None:
        self._at_once = at_once
        self._interval = interval
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    @contextmanager
    def turn(self, host: str) -> Iterator[float]:
        """Waits for a turn at a host and holds it; gives the seconds waited."""
        asked = time.monotonic()
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
            yield started - asked
        finally:
            with self._lock:
                state.active -= 1
                state.changed.notify()
                self._forget(host)

    def _forget(self, host: str) -> None:
        """Forgets the host if nobody needs it, and of very many all such."""
        now = time.monotonic()
        for name in [host] if len(self._hosts) < KEPT else list(self._hosts):
            state = self._hosts[name]
            if not state.active and not state.waiting and state.free_from <= now:
                del self._hosts[name]
