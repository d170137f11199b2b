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
"""How much the system is to prefer the service."""

MOST_SAID = 64 * 1024
"""Bytes of what a job writes that are looked at: the last ones."""

MOST_WRITTEN = 16 * 2**20
"""Bytes after which what it wrote is dropped, so that a chatty job fills no disk."""

LOOK = 1.0
"""Seconds between two looks at that."""

_CODE = Path(__file__).resolve().parents[3]
_KEYS = ("API_KEY", "API_KEYS", "_KEYS")


class JobProcess:
    """A process in a session of its own. Safe from any number of threads.

    What it writes goes to files without a name: a pipe would break when the service ends before it does.

    Attributes:
        cancelled: whether it was asked to end.
        ended, report, message: once `code` is there, when it was, the report that it wrote, and the last that it said.
    """

    def __init__(self, job_id: str, arguments: Sequence[str]) -> None:
        """arguments: of `oneword index`, without those that are made here. Raises OSError."""
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
        """Its number, which is its group's, too."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended, as `subprocess` has it; None: it has not, or not all is known of it yet."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it has ended; whether it has."""
        return self._ended.wait(timeout)

    def end(self) -> None:
        """Asks it to commit what it has, and to end."""
        with self._mutex:
            if self._process.returncode is None and not self.cancelled:  # a second signal would end it at once
                self.cancelled = True
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with all that it has started, at once."""
        with self._mutex:
            if self._process.returncode is None:  # not waited for, so that the number is nobody else's
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        try:
            while not self._has_ended():
                for file in (self._out, self._err):
                    if os.fstat(file.fileno()).st_size > MOST_WRITTEN:
                        file.truncate(0)
            with self._mutex:
                self._process.wait()
            self.ended = datetime.now(UTC)
            self.report = self._read_report()
            self.message = said(_tail(self._out), _tail(self._err))
        finally:
            self._clean()
            self._ended.set()

    def _has_ended(self) -> bool:
        """Within `LOOK` seconds. It is left in the table of processes, so that its number stays its own."""
        for _ in range(20):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                return True
            time.sleep(LOOK / 20)
        return False

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
    """Without the service's keys. A model server's key and an object store's are the job's own, and stay."""
    kept = {name: value for name, value in given.items() if not name.upper().endswith(_KEYS)}
    if "site-packages" not in _CODE.parts:  # a checkout, which the interpreter finds by its working folder alone
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_CODE), kept.get("PYTHONPATH")]))
    return kept


def said(out: str, err: str) -> str:
    """The error that a command wrote as JSON; else the last line that it wrote as an error."""
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        return " ".join(str(json.loads(out.splitlines()[-1])["error"]["message"]).split())
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_SAID))
    return file.read().decode("utf-8", "replace")
