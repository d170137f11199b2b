"""Threads for what would hold up the event loop: decoding, searching, writing, and what takes long."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import ParamSpec, TypeVar

from oneword.storage.cancellation import Cancellation

P = ParamSpec("P")
Done = TypeVar("Done")


READING = frozenset({"search", "overview"})
"""Kinds of work that may end in the middle: they change nothing."""


class Workers:
    """Pools of threads, by kind, so that one kind of work never waits for another.

    search: FAISS and LanceDB let go of Python's lock, so a few more threads than cores. decode: as many as cores.
    originals: images of stored items, which wait for no upload.
    fetch: they wait for others. write: commits of one collection go one after the other; of several, side by side.
    slow: checks, builds, loading. overview: what pages about collections show.
    metrics: who watches must see, above all when everything else is stuck.
    """

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        sizes = {
            "search": cores + 4,
            "decode": cores,
            "originals": 2,
            "fetch": 16,
            "write": 4,
            "slow": 2,
            "overview": 1,
            "metrics": 1,
        }
        self._pools = {kind: ThreadPoolExecutor(size, thread_name_prefix=kind) for kind, size in sizes.items()}

    async def run(self, kind: str, work: Callable[P, Done], *args: P.args, **kwargs: P.kwargs) -> Done:
        """Does work in a thread of that kind. Cancelled before a thread has it, it is never done; reads end early."""
        cancellation = Cancellation()

        def done() -> Done:
            with cancellation.applied() if kind in READING else nullcontext():
                return work(*args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pools[kind], done)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

    def close(self) -> None:
        """Ends each thread after what it is doing, which is not waited for; what waits is dropped."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
