"""When the process ends by itself."""

import os
import re
import time
from pathlib import Path

from oneword.query.resident.address import Address, stamp

IDLE = "ONEWORD_DAEMON_IDLE"
"""The variable that says how many seconds without a search there may be; anything else than a number: the default."""

IDLE_SECONDS = 600.0

LOG_BYTES = 2**20
"""The log is started again at this size."""

LEAST_MEMORY = 1 / 16
"""Share of the machine's memory that must be available."""

STALLED = 10.0
"""Percent of the last ten seconds in which some process waited for memory (Linux, PSI)."""

RARELY = 10.0
"""Seconds between two looks at the installation and at memory."""


class Lifetime:
    """Asked every second whether the process should end, and why."""

    def __init__(self, address: Address) -> None:
        self._address, self._stamp, self._files = address, stamp(), _files(address)
        self._idle = _idle_seconds()
        self._requests, self._since = -1, time.monotonic()
        self._looked = self._since

    def reason(self, requests: int, running: int) -> str | None:
        """Why to end now; None: go on.

        Args:
            requests: how many there have been.
            running: how many there are now.
        """
        now = time.monotonic()
        if running or requests != self._requests:
            self._requests, self._since = requests, now
        elif now - self._since >= self._idle:
            return f"idle for {self._idle:g} s"
        if _files(self._address) != self._files:
            return "it was asked to, or its files are gone"
        if now - self._looked < RARELY:
            return None
        self._looked = now
        if os.fstat(2).st_size > LOG_BYTES:
            os.ftruncate(2, 0)
        if stamp() != self._stamp:
            return "the installation has changed"
        return "memory is short" if memory_is_short() else None


def memory_is_short(root: Path = Path("/")) -> bool:
    """Whether the machine, or the control group that is `root`, has little memory left. Known on Linux alone."""
    for name in ("proc/pressure/memory", "sys/fs/cgroup/memory.pressure"):
        if (found := re.search(r"some avg10=([\d.]+)", _read(root / name))) and float(found[1]) > STALLED:
            return True
    sizes = {name: int(size) for name, size in re.findall(r"(\w+):\s+(\d+)", _read(root / "proc/meminfo"))}
    return sizes.get("MemAvailable", 1) < LEAST_MEMORY * sizes.get("MemTotal", 0)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _files(address: Address) -> list[int]:
    """The files by which the process is found, for what they are."""
    try:
        return [file.stat().st_ino for file in (address.state, address.socket if address.unix else address.keys)]
    except OSError:
        return []


def _idle_seconds() -> float:
    try:
        return max(0.0, float(os.environ[IDLE]))
    except (KeyError, ValueError):
        return IDLE_SECONDS
