"""One `oneword index` process, from its start to its end. Its crash, its memory and its signals are its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

NICE = 5
"""Added to the niceness of a job's process, so that the service goes first."""

MAX_TAIL = 64 * 1024
"""Bytes at the end of a job's output in which its error is looked for."""

MAX_OUTPUT = 16 * 2**20
"""Bytes after which a job's output is dropped, so that it never fills the disk."""

POLL = 0.05
"""Seconds between two looks whether the process has ended."""

_CODE = Path(__file__).resolve().parents[1]
_KEYS = ("API_KEY", "API_KEYS", "_KEYS")


class JobProcess:
    """A process in a session of its own. Safe from any number of threads.

    Its output goes to files without a name: a pipe would break when the service ends before it does.

    Attributes:
        cancelled: whether it was asked to end.
        ended, report, message: once `code` is set, when it ended, the report that it wrote, and its error.
    """

    def __init__(self, job_id: str, arguments: Sequence[str]) -> None:
        """arguments: of `oneword index`, besides those added here. Raises OSError."""
        self.cancelled = False
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="oneword-job-")
        self._report = Path(self._folder.name, "report.json")
        self._out: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (closed by `_watch`)
        self._err: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        # -P: the working folder, which others may write to, is nowhere to take modules from.
        command = [sys.executable, "-P", "-m", "oneword", "index", "--job-id", job_id, "--json"]
        try:
            self._process = subprocess.Popen(
                [*command, f"--report={self._report}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                env=environment(os.environ),
                start_new_session=True,
            )
        except BaseException:
            self._clean()
            raise
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
        self.ended = datetime.now(UTC)
        self.message = ""
        self.report: dict[str, Any] | None = None
        threading.Thread(target=self._watch, name=f"job-{job_id}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number, which is also its process group's."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, as `subprocess` reports it; None until it has ended and its report was read."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it has ended. Returns whether it has."""
        return self._ended.wait(timeout)

    def end(self) -> None:
        """Asks it to commit what it has, and to end."""
        with self._mutex:
            if self._process.returncode is None and not self.cancelled:  # a second signal would end it at once
                self.cancelled = True
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it with all processes that it has started."""
        with self._mutex:
            if self._process.returncode is None:  # not waited for, so that the number is nobody else's
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        try:
            # WNOWAIT: it stays in the table of processes until `wait`, so that its number stays its own.
            while not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                time.sleep(POLL)
                for file in (self._out, self._err):
                    if os.fstat(file.fileno()).st_size > MAX_OUTPUT:
                        file.truncate(0)
            with self._mutex:
                self._process.wait()
            self.ended = datetime.now(UTC)
            self.report = self._read_report()
            self.message = error_of(_tail(self._out), _tail(self._err))
        finally:
            self._clean()
            self._ended.set()

    def _read_report(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _clean(self) -> None:
        self._out.close()
        self._err.close()
        self._folder.cleanup()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without the service's API keys. Keys of model servers and object stores stay: jobs need them."""
    kept = {name: value for name, value in given.items() if not name.upper().endswith(_KEYS)}
    if "site-packages" not in _CODE.parts:  # a checkout, which need not be installed
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_CODE), kept.get("PYTHONPATH")]))
    return kept


def error_of(out: str, err: str) -> str:
    """The error that a command wrote to `out` as JSON; else the last line of `err`."""
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        return " ".join(str(json.loads(out.splitlines()[-1])["error"]["message"]).split())
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_TAIL))
    return file.read().decode("utf-8", "replace")
