"""Other processes for what strangers send: reading it can be ended at a deadline, and never holds up the event loop."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, ParamSpec, TypeVar

from oneword.engine.processes import UNSTARTED, start, works

log = logging.getLogger(__name__)

P = ParamSpec("P")
Done = TypeVar("Done")


class Crashed(Exception):
    """The process ended in the middle of a call."""


class Processes:
    """A few processes, each of which runs one call at a time. Use it from one event loop.

    A call that takes too long, or whose caller is cancelled, ends its process; another takes its place. Where the
    system starts no processes, calls run in threads, and cannot be ended.

    Args:
        count: None: as many as cores, at least 2 and at most 8; each takes about 96 MB.
        seconds: that a call may take; the time until a process is free does not count.
    """

    def __init__(self, count: int | None = None, *, seconds: float) -> None:
        self.count, self.seconds = count or min(8, max(2, os.cpu_count() or 1)), seconds
        self._free: asyncio.Queue[Any] = asyncio.Queue()  # executors of one process; None: to be started
        for _ in range(self.count):
            self._free.put_nowait(None)
        self._executors: set[Any] = set()
        self._unable = self._closed = False

    async def run(self, function: Callable[P, Done], *args: P.args, **kwargs: P.kwargs) -> Done:
        """Returns what the function returns. It, its arguments and what it returns must pickle.

        Raises:
            TimeoutError: it took longer than `seconds`.
            Crashed: the process died.
        """
        executor = await self._taken()
        try:
            if executor is None:
                return await asyncio.wait_for(asyncio.to_thread(function, *args, **kwargs), self.seconds)
            future = asyncio.wrap_future(executor.submit(function, *args, **kwargs))
            # Not cancelled itself: loky would set a result all the same. What it ends with is of no interest then.
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
        """Starts them all, before anybody waits for one."""
        taken = [await self._taken() for _ in range(self.count)]
        for executor in taken:
            self._free.put_nowait(executor)

    def close(self) -> None:
        """Ends them, with what they are doing."""
        self._closed = True
        for executor in list(self._executors):
            self._end(executor)

    async def _taken(self) -> Any:
        """A free process, which is started if need be."""
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
        """What was started for a caller that has left serves the next one."""
        failed = started.cancelled() or started.exception() is not None
        self._free.put_nowait(None if failed else started.result())

    def _started(self) -> Any:
        """In a thread: it takes some milliseconds. None where no process can be started."""
        if self._unable or self._closed:
            return None
        try:
            executor = start(1, idle=None)
            executor.submit(_imports).result()
        except (*UNSTARTED, BrokenExecutor) as error:
            self._unable = True
            log.warning("requests are read in this process, because it cannot start others: %s", error)
            return None
        self._executors.add(executor)
        return executor

    def _end(self, executor: Any) -> None:
        if executor is not None:
            self._executors.discard(executor)
            executor.shutdown(wait=False, kill_workers=True)


def _imports() -> None:
    """What most calls need, so that the first is not slower than others."""
    import oneword.query.server.entries
    import oneword.query.server.pictures
    import oneword.query.server.questions  # noqa: F401
