"""Identifies a process by more than its number, which the system reuses.

psutil is no help here: it does not tell containers apart, and its start times change when the clock is set.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process.

    host: its name. Two machines, or a container and its host, may have the same: see `dead`.
    born: on Linux the boot, the PID namespace and the start time since boot; elsewhere the start time; "" if unknown.
    """

    host: str
    pid: int
    born: str

    @classmethod
    def this(cls) -> Process:
        """The current process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, born=_born(pid) or "")

    @property
    def dead(self) -> bool:
        """Whether it has ended for certain, as far as this host can tell; False for a process of another host.

        On Linux a process of another PID namespace (a container's) counts as alive; one of another boot has ended.
        """
        if self.host != socket.gethostname():
            return False
        now = _born(self.pid)
        if not self.born or now == "":
            return now is None
        if _has_proc():
            boot, namespace = self.born.split()[:2]
            if boot != _boot():
                return True
            if namespace != _namespace():
                return False
        return now != self.born

    @property
    def here(self) -> bool:
        """Whether it has the number on this host now, for certain."""
        return self.host == socket.gethostname() and bool(self.born) and _born(self.pid) == self.born

    def send(self, number: int) -> bool:
        """Send it a signal, and no other process. Returns whether it was sent. Raises PermissionError."""
        try:
            if not hasattr(os, "pidfd_open"):
                if self.here:
                    os.kill(self.pid, number)
                    return True
                return False
            handle = os.pidfd_open(self.pid)  # of the process that has the number now, and of no later one
            try:
                if self.here:
                    signal.pidfd_send_signal(handle, number)
                    return True
                return False
            finally:
                os.close(handle)
        except ProcessLookupError:
            return False


def _has_proc() -> bool:
    return sys.platform == "linux"


def _born(pid: int) -> str | None:
    """When the process of this number started, None if there is none, "" if the system does not tell."""
    if _has_proc():
        return _born_on_linux(pid)
    if os.name != "posix":
        return ""  # os.kill with 0 terminates a process on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout.strip()
    except OSError:
        return ""


def _born_on_linux(pid: int) -> str | None:
    try:
        # proc(5): the name, in brackets, may hold spaces; after it come the state (3rd) to the start time (22nd).
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return ""
    ended = fields[0] in "ZX"
    return None if ended else f"{_boot()} {_namespace()} {fields[19]}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "?"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "?"
