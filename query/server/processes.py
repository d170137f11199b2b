"""Worker processes that parse untrusted input: they can be killed at a deadline, and never block the event loop."""

import asyncio
import importlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, ParamSpec, TypeVar

from oneword.engine.processes import UNSTARTED, start, works

log = logging.getLogger(__name__)

P = ParamSpec("P")
Result = TypeVar("Result")


class Crashed(Exception):
    """The process died during a call."""


class Processes:
    """A pool of processes that run one call at a time. Use it from one event loop.

    A call that times out or is cancelled kills its process, which is replaced. If the system cannot start processes,
    calls run in threads and cannot be killed.

    Args:
        count: None: the number of cores, between 2 and 8; each process takes about 96 MB.
        seconds: timeout of a call; waiting for a free process does not count.
        preload: modules that each process imports when it starts, so that its first call is fast.
    """

    def __init__(self, count: int | None = None, *, seconds: float, preload: Sequence[str] = ()) -> None:
        self.count, self.seconds = count or min(8, max(2, os.cpu_count() or 1)), seconds
        self._preload = tuple(preload)
        self._free: asyncio.Queue[Any] = asyncio.Queue()  # executors of one process; None: not started yet
        for _ in range(self.count):
            self._free.put_nowait(None)
        self._executors: set[Any] = set()
        self._unable = self._closed = False

    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Calls the function in a process. It, its arguments and its result must be picklable.

        Raises:
            TimeoutError: it took longer than `seconds`.
            Crashed: the process died.
        """
        executor = await self._taken()
        try:
            if executor is None:
                return await asyncio.wait_for(asyncio.to_thread(function, *args, **kwargs), self.seconds)
            future = asyncio.wrap_future(executor.submit(function, *args, **kwargs))
            # Not cancelled itself: loky would set its result anyway, which is ignored then.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            return await asyncio.wait_for(asyncio.shield(future), self.seconds)
        except (asyncio.CancelledError, TimeoutError, BrokenExecutor) as error:
            self._end(executor)
            executor = None
            if isinstance(error, BrokenExecutor):
                raise Crashed from error
            raise
        finally:
            self._free.put_nowait(executor)

    async def warm_up(self) -> None:
        """Starts all processes."""
        taken = [await self._taken() for _ in range(self.count)]
        for executor in taken:
            self._free.put_nowait(executor)

    def close(self) -> None:
        """Kills all processes."""
        self._closed = True
        for executor in list(self._executors):
            self._end(executor)

    async def _taken(self) -> Any:
        """Waits for a free process, and starts it if necessary."""
        executor = await self._free.get()
        if executor is not None and works(executor):
            return executor
        self._end(executor)
        starting = asyncio.ensure_future(asyncio.to_thread(self._started))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(self._put_back)
            raise
        except BaseException:
            self._free.put_nowait(None)
            raise

    def _put_back(self, started: asyncio.Future[Any]) -> None:
        """Keeps a process that was started for a cancelled caller."""
        failed = started.cancelled() or started.exception() is not None
        self._free.put_nowait(None if failed else started.result())

    def _started(self) -> Any:
        """Starts a process; runs in a thread. None if no process can be started."""
        if self._unable or self._ended():
            return None
        executor = None
        try:
            executor = start(1, idle=None)
            self._executors.add(executor)  # first: `close` kills it while it starts
            executor.submit(_import, self._preload).result()
        except (*UNSTARTED, BrokenExecutor, RuntimeError) as error:
            self._end(executor)
            if self._ended():
                return None
            if not isinstance(error, (*UNSTARTED, BrokenExecutor)):
                raise
            self._unable = True
            log.warning("untrusted input is parsed in this process, because it cannot start others: %s", error)
            return None
        if self._ended():  # before it was one of them
            self._end(executor)
            return None
        return executor

    def _ended(self) -> bool:
        """Whether it was closed, by another thread."""
        return self._closed

    def _end(self, executor: Any) -> None:
        if executor is not None:
            self._executors.discard(executor)
            executor.shutdown(wait=False, kill_workers=True)


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
