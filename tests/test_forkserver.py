"""A process of the fork server is as one that Python starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import forkserver

ALIKE = {
    "streams": "import sys; print(sys.stdin.read(), sys.argv); print('é', file=sys.stderr)",
    "surroundings": "import os; print(os.getcwd(), os.environ['MARK'], 'HOME' in os.environ, os.getppid() > 1)",
    "exit code": "import sys; sys.exit(3)",
    "message": "import sys; sys.exit('so it ends')",
    "atexit": "import atexit; atexit.register(print, 'last')",
    "signals": "import signal; print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD))",
}


def true(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], text=True, **options)


@pytest.mark.parametrize("code", ALIKE.values(), ids=ALIKE)
def test_like_a_true_one(code: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("said before\n")
    ends = []
    for start in (
        forkserver.run,
        lambda line, **options: subprocess.run([sys.executable, *line], text=True, **options),
    ):
        with (tmp_path / "in").open() as given:
            streams = {"stdin": given, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            done = start(["-c", code, "a", "b"], cwd=tmp_path, env={"MARK": "here"}, **streams)
        ends.append((done.returncode, done.stdout, done.stderr))
    assert ends[0] == ends[1]


def test_a_traceback_and_a_module(tmp_path: Path) -> None:
    done = forkserver.run(["-c", "raise ValueError('wrong')"])
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ValueError: wrong")
    assert forkserver.run(["-m", "oneword", "--version"]).stdout.startswith("oneword ")
    (tmp_path / "beside.py").write_text("word = 'beside'")
    (tmp_path / "script.py").write_text("import sys, beside; print(beside.word, sys.argv[1:], __name__)")
    assert forkserver.run([tmp_path / "script.py", 1]).stdout == "beside ['1'] __main__\n"


def test_it_is_killed_and_waited_for() -> None:
    child = forkserver.start(["-c", "import time; print(1, flush=True); time.sleep(100)"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == child.poll() == -signal.SIGKILL
    child.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)  # it is no zombie
