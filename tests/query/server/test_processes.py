"""Processes for what strangers send: each call is ended at its deadline, or when its caller leaves, and no other is."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from oneword.query.server import processes as module
from oneword.query.server.processes import Crashed, Processes


@asynccontextmanager
async def running(count: int = 2, *, seconds: float = 30) -> AsyncIterator[Processes]:
    processes = Processes(count, seconds=seconds)
    await processes.warm_up()
    yield processes
    processes.close()


def gone(pid: int) -> bool:
    """Whether a process has ended, or is about to be waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.02)


def hang(note: str) -> None:
    """Writes its process' id down, and never returns."""
    Path(note).write_text(str(os.getpid()))
    time.sleep(3600)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_a_call_runs_in_another_process() -> None:
    async def work() -> None:
        async with running() as processes:
            pids = {await processes.run(os.getpid) for _ in range(6)}
            assert os.getpid() not in pids
            assert len(pids) == 2  # they stay
            with pytest.raises(ZeroDivisionError):
                await processes.run(divmod, 1, 0)

    run(work)


def test_what_takes_too_long_is_ended_and_its_neighbor_is_not(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(seconds=2) as processes:
            neighbor = asyncio.create_task(processes.run(time.sleep, 1.5))
            with pytest.raises(TimeoutError):
                await processes.run(hang, str(tmp_path / "pid"))
            await neighbor
            await until(lambda: gone(int((tmp_path / "pid").read_text())))
            assert await asyncio.gather(*(processes.run(int, "7") for _ in range(4))) == [7] * 4

    run(work)


def test_a_caller_that_leaves_ends_its_call(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(1) as processes:
            asked = asyncio.create_task(processes.run(hang, str(tmp_path / "pid")))
            waiting = asyncio.create_task(processes.run(int, "7"))
            await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
            asked.cancel()
            assert await waiting == 7
            await until(lambda: gone(int((tmp_path / "pid").read_text())))

    run(work)


def test_a_process_that_dies_fails_its_call_alone() -> None:
    async def work() -> None:
        async with running(2) as processes:
            neighbor = asyncio.create_task(processes.run(time.sleep, 0.5))
            with pytest.raises(Crashed):
                await processes.run(os._exit, 1)
            await neighbor
            assert await processes.run(int, "7") == 7

    run(work)


def test_a_process_that_died_while_it_had_nothing_to_do() -> None:
    async def work() -> None:
        async with running(1) as processes:
            pid = await processes.run(os.getpid)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: gone(pid))
            await asyncio.sleep(0.2)  # its executor has seen it, too
            assert await processes.run(int, "7") == 7

    run(work)


def test_a_caller_that_leaves_while_its_process_starts() -> None:
    async def work() -> None:
        processes = Processes(1, seconds=30)
        asked = asyncio.create_task(processes.run(int, "7"))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await processes.run(int, "7") == 7
        assert len(processes._executors) == 1
        processes.close()

    run(work)


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "start", refused)

    async def work() -> None:
        processes = Processes(2, seconds=0.2)
        assert await processes.run(os.getpid) == os.getpid()
        with pytest.raises(TimeoutError):
            await processes.run(time.sleep, 0.5)
        assert await processes.run(os.getpid) == os.getpid()
        processes.close()

    run(work)
    assert [one.message for one in caplog.records if "cannot start others" in one.message]


def test_callers_that_leave_at_any_moment_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with running(2) as processes:
            for turn in range(12):
                asked = [asyncio.create_task(processes.run(time.sleep, 0.05)) for _ in range(3)]
                await asyncio.sleep(0.005 * turn)
                for one in asked:
                    one.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            assert await processes.run(int, "7") == 7

    run(work)
    time.sleep(0.5)  # whoever is to be surprised has been
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")]
