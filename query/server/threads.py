"""Thread pools for blocking work, and tasks that run together."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar

from oneword.storage.cancellation import Cancellation

P = ParamSpec("P")
Result = TypeVar("Result")

CANCELLABLE = frozenset({"search", "rerank", "overview"})
"""Kinds of work that may be interrupted: they only read."""


class Workers:
    """One thread pool for each kind of work, so that no kind waits for another.

    search: more threads than cores, as FAISS and LanceDB release the GIL. originals: images of stored items. fetch:
    waits for other servers. write: commits; those of one collection are serial. slow: checks, builds, loading.
    rerank: searches that wait for a reranker. overview: facets and maps. metrics: must answer when everything else is
    stuck.
    """

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        sizes = {"search": cores + 4, "decode": cores, "originals": 2, "fetch": 16, "write": 4, "slow": 2}
        sizes |= {"rerank": 8, "overview": 1, "metrics": 1}
        self._pools = {kind: ThreadPoolExecutor(size, thread_name_prefix=kind) for kind, size in sizes.items()}

    async def run(self, kind: str, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Runs work in a thread of that kind. Work cancelled before it starts never runs; reads are interrupted."""
        cancellation = Cancellation()

        def done() -> Result:
            with cancellation.applied() if kind in CANCELLABLE else nullcontext():
                return work(*args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pools[kind], done)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

    def close(self) -> None:
        """Drops waiting work and ends each thread after its current work, without waiting for it."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


async def gather(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results in order. If one fails, the others are cancelled, so that none outlives its request.

    Raises:
        Exception: of the first that failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed.exceptions[0].__cause__
    return [task.result() for task in tasks]
