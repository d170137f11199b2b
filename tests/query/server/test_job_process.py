"""One job's process: what it is given, and what of its words is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oneword import query
from oneword.indexer.job_process import MAX_OUTPUT, JobProcess, environment, error_of
from oneword.storage.journal import new_id

ROOT = Path(query.__file__).resolve().parents[1]

if sys.platform == "win32":
    pytest.skip("signals and process groups", allow_module_level=True)


def test_what_it_writes_is_bounded(tmp_path: Path) -> None:
    process = JobProcess(new_id(), ["--", str(tmp_path / "none")])
    os.kill(process.pid, signal.SIGSTOP)
    process._err.write(b"x" * (MAX_OUTPUT + 1))
    process._err.flush()
    for _ in range(1200):
        if not (size := os.fstat(process._err.fileno()).st_size):
            break
        time.sleep(0.05)
    assert size == 0
    assert not process.wait(0)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60)
    assert process.code == 1
    assert "does not exist" in process.message


def test_last_words() -> None:
    assert error_of('{"error": {"type": "T", "message": "a\\n b"}}\n', "error: a\n b\nTry --help.\n") == "a b"
    assert error_of("", "Traceback ...\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert error_of(json.dumps({"inputs": 1}), "error: last\n") == "last"
    assert error_of("[]", "") == error_of("7", "") == error_of('{"error": 1}', "") == ""


def test_environment() -> None:
    given = {"ONEWORD_API_KEY": "1", "ONEWORD_KEYS": "2", "my_api_key": "3", "AWS_ACCESS_KEY_ID": "4", "PATH": "p"}
    kept = environment(given)
    assert kept == {"AWS_ACCESS_KEY_ID": "4", "PATH": "p", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "import oneword.query; print(oneword.query.__file__)"],
        cwd="/",
        env={**os.environ, **kept},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(ROOT)
