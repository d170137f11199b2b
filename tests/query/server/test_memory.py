"""How much of the C library's memory a service may keep."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.query.conftest import ROOT

COUNT = """
import ctypes, sys, threading
import numpy as np
from oneword.query.server.memory import limit_arenas

limit_arenas()
barrier, kept = threading.Barrier(9), []

def allocate():
    kept.append(np.ones(8192))  # by malloc, from an arena of the thread
    barrier.wait()

for _ in range(8):
    threading.Thread(target=allocate).start()
barrier.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
@pytest.mark.parametrize(("environment", "arenas"), [({}, 2), ({"MALLOC_ARENA_MAX": "4"}, 4)])
def test_arenas(environment: dict[str, str], arenas: int, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment}
    file = tmp_path / "malloc.xml"
    subprocess.run([sys.executable, "-c", COUNT, str(file)], env=env, check=True)
    assert file.read_text(encoding="utf-8").count("<heap ") == arenas
