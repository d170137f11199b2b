"""What we use of other packages without their promise: private attributes, file names, words of error messages.

Each has one test here, which fails when a new release changes it. The code that relies on it is named beside it.
"""

import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import pytest
from lancedb.background_loop import LOOP

ROOT = Path(__file__).parents[1]
ROWS = pa.table({"id": ["a"]})


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return lancedb.connect(tmp_path / "db")


def test_loky_tells_whether_a_pool_still_works() -> None:
    """engine/processes.py: `works`."""
    from oneword.engine.processes import start, works

    pool = start(1, idle=None)
    try:
        assert pool.submit(abs, -1).result() == 1
        assert works(pool)
        with pytest.raises(BrokenExecutor, match=r"\{SIGKILL"):  # the signal's name is part of our message
            pool.submit(signal.raise_signal, signal.SIGKILL).result()
        assert not works(pool)
    finally:
        pool.shutdown(kill_workers=True)
    ended = start(1, idle=None)
    assert works(ended)
    ended.shutdown()
    assert not works(ended)


def test_uvicorn_raises_the_signals_that_it_kept() -> None:
    """query/server/serving.py forgets them, so that a service that ended as it was asked to has not failed."""
    import uvicorn

    raised: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: raised.append(number))
    try:
        for forgets in (False, True):
            server = uvicorn.Server(uvicorn.Config(lambda: None))
            with server.capture_signals():
                signal.raise_signal(signal.SIGTERM)
                assert server._captured_signals == [signal.SIGTERM]
                if forgets:
                    server._captured_signals.clear()
            assert raised == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_accelerate_forgets_an_earlier_runs_precision() -> None:
    """engine/training/trainer.py trains twice in one process, with another dtype."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    for precision in ("bf16", "no"):
        AcceleratorState._reset_state()
        assert Accelerator(cpu=True, mixed_precision=precision).mixed_precision == precision
    AcceleratorState._reset_state()


def test_lance_names_manifests_newest_first(store: Any, tmp_path: Path) -> None:
    """storage/snapshot.py looks for the next version's manifest; storage/durability.py reads, and sets aside."""
    table = store.create_table("things", ROWS)
    table.add(ROWS)
    names = sorted(file.name for file in (tmp_path / "db" / "things.lance" / "_versions").glob("*.manifest"))
    assert names == [f"{2**64 - 1 - version:020d}.manifest" for version in (2, 1)]
    for name in names:
        assert (tmp_path / "db" / "things.lance" / "_versions" / name).read_bytes().endswith(b"LANC")


def test_lancedb_has_one_loop_whose_run_can_be_replaced() -> None:
    """storage/table.py: `make_reads_cancellable`."""
    assert callable(LOOP.run)
    assert LOOP.loop.is_running()


def test_lancedbs_words_for_what_is_not_there(store: Any) -> None:
    """storage/database.py opens: None for a missing table, `VersionNotFound` for a version that was cleaned up."""
    with pytest.raises(ValueError, match="was not found"):
        store.open_table("things")
    table = store.create_table("things", ROWS)
    for _ in range(3):
        table.add(ROWS)
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
    with pytest.raises(ValueError, match="no longer exists"):
        table.checkout(1)


def test_lancedbs_words_for_a_name_that_is_taken(store: Any) -> None:
    """storage/database.py: `create` returns None."""
    store.create_table("things", ROWS)
    with pytest.raises(ValueError, match=r"already exists|onflict"):
        store.create_table("things", schema=ROWS.schema)


def test_lancedbs_words_for_a_table_dropped_while_open(store: Any) -> None:
    """storage/table.py: `CollectionNotFound`."""
    table = store.create_table("things", ROWS)
    store.drop_table("things")
    with pytest.raises((OSError, RuntimeError, ValueError), match=r"Not found.*_versions"):
        table.checkout_latest()


def test_lancedbs_words_for_a_commit_that_lost_a_race(store: Any) -> None:
    """storage/journal.py tries again where the error speaks of a conflict or of something concurrent."""
    store.create_table("things", ROWS)
    one, other = store.open_table("things"), store.open_table("things")
    assert other.count_rows() == 1
    one.add(ROWS, mode="overwrite")
    with pytest.raises(RuntimeError, match=r"conflict|concurrent"):
        other.delete("id = 'a'")


def test_lancedbs_words_for_a_damaged_file(store: Any, tmp_path: Path) -> None:
    """storage/table.py: a ValueError that speaks of a Lance file means a damaged one, not a bug of ours."""
    table = store.create_table("things", ROWS)
    (file,) = (tmp_path / "db" / "things.lance" / "data").glob("*.lance")
    file.write_bytes(b"not it at all, and longer than a footer of forty bytes would be")
    with pytest.raises((OSError, RuntimeError, ValueError)) as raised:
        table.to_arrow()
    assert not isinstance(raised.value, ValueError) or "Lance file" in str(raised.value)


def test_the_gpu_benchmark_needs_torch_and_transformers_only() -> None:
    """`make gpu` runs on machines where nothing of this project is installed."""
    absent = "faiss fastapi lance lancedb lazy_loader loky pyarrow semantic_text_splitter"
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent.split()!r}))\n"
        "sys.argv = ['gpu.py', '--help']; runpy.run_path('benchmarks/gpu.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
