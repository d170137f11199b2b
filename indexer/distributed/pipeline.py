"""The Ray Data pipeline: shares go in, messages for the committer come out."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from oneword.indexer.distributed.cluster import Pools
from oneword.indexer.distributed.messages import WorkerSettings, empty_row, from_block
from oneword.indexer.distributed.workers import Embedder, FragmentWriter, Loader

GROUPS = 8
"""Encoded groups in one fragment: 2,048 texts or 512 images if they are full."""

AT_ONCE = 2
"""Blocks in one loader at once, so that one slow input does not leave its process idle."""


class Feed:
    """A queue of shares, an actor on the driver's node.

    A share can be taken again, by its place in the queue, until the driver forgets it: its reader may be lost.
    """

    def __init__(self) -> None:
        self._shares: dict[int, Any] = {}
        self._count, self._closed = 0, False
        self._change = asyncio.Condition()

    async def put(self, share: list[Any]) -> None:
        """share: a list with one reference to its block; it gets the next place in the queue, from 0."""
        async with self._change:
            self._shares[self._count] = share
            self._count += 1
            self._change.notify_all()

    async def forget(self, places: list[int]) -> None:
        """Those are done."""
        for place in places:
            self._shares.pop(place, None)

    async def close(self) -> None:
        """No more will come."""
        async with self._change:
            self._closed = True
            self._change.notify_all()

    async def take(self, place: int) -> list[Any] | None:
        """Waits for the share at a place; empty if it is done, None if there will be none."""
        async with self._change:
            await self._change.wait_for(lambda: self._closed or place < self._count)
            return self._shares.get(place, []) if place < self._count else None


class Pipeline:
    """Runs in a thread of its own. Puts what was written into `results`; at the end None, or the error that ended it.

    Ray restarts a process that dies and repeats its work without a limit: no input can kill a process here, because
    decoding has processes of its own.
    """

    def __init__(self, ray: Any, settings: WorkerSettings, pools: Pools, results: "Queue[tuple[Any, Any]]") -> None:
        """results: gets (this pipeline, a Written or None or an exception)."""
        self._ray, self._results = ray, results
        self._data: Any = None
        self.place = 0
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # so that the queue is not lost
        make = ray.remote(num_cpus=0, max_concurrency=1000)(Feed)
        self.feed = make.options(label_selector=here).remote()
        self._thread = threading.Thread(target=self._run, args=(settings, pools, here), name="pipeline", daemon=True)
        self._thread.start()
        self.nodes = alive(ray)

    def put(self, block: Any) -> None:
        """Takes a reference to a share's block, which gets the place `place` in the feed."""
        self.place += 1
        self._ray.get(self.feed.put.remote([block]))

    def forget(self, places: list[int]) -> None:
        """Those shares are done."""
        self.feed.forget.remote(places)

    def close(self) -> None:
        """No more shares."""
        self._ray.get(self.feed.close.remote())

    def abandon(self) -> None:
        """Ends it at once."""
        self._ray.kill(self.feed)
        executor = getattr(self._data, "_current_executor", None)
        if executor is not None:  # no public call ends a wait for processes that cannot be placed
            executor.shutdown(force=True)
        self._thread.join()

    def _run(self, settings: WorkerSettings, pools: Pools, here: Any) -> None:
        try:
            with _quiet(self._ray.data):
                self._data = self._dataset(settings, pools, here)
                for batch in self._data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                    for written in from_block(batch):
                        self._results.put((self, written))
        except BaseException as error:
            self._results.put((self, error))
        else:
            self._results.put((self, None))

    def _dataset(self, settings: WorkerSettings, pools: Pools, here: Any) -> Any:
        data = self._ray.data
        given: dict[str, Any] = {"fn_constructor_args": (settings,), "batch_format": "pyarrow"}
        source = data.read_datasource(
            _datasource(self.feed),
            override_num_blocks=1,
            num_cpus=0,
            label_selector=here,
        )
        loaded = source.map_batches(
            Loader,
            compute=data.ActorPoolStrategy(
                min_size=1,
                max_size=pools.loaders,
                max_concurrent_calls_per_actor=AT_ONCE,
                enable_true_multi_threading=True,
            ),
            batch_size=1,
            num_cpus=1,
            **given,
        )
        encoded = loaded.map_batches(
            Embedder,
            compute=data.ActorPoolStrategy(size=pools.embedders),
            batch_size=1,
            num_cpus=1,
            **({"num_gpus": pools.gpus} if pools.gpus else {}),
            **given,
        )
        return encoded.map_batches(
            FragmentWriter,
            compute=data.ActorPoolStrategy(min_size=1, max_size=pools.writers),
            batch_size=GROUPS,
            num_cpus=0,
            **given,
        )


def alive(ray: Any) -> frozenset[str]:
    """Ids of the nodes that are alive."""
    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])


@contextmanager
def _quiet(data: Any) -> Iterator[None]:
    """One row a block; no progress bars, errors as they were raised."""
    context = data.DataContext.get_current()
    wanted = {
        "target_max_block_size": 1,
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "raise_original_map_exception": True,
        "enable_auto_log_stats": False,
        "max_consecutive_actor_init_deaths": 3,
    }
    logger = logging.getLogger("ray.data")
    level, before = logger.level, {name: getattr(context, name) for name in wanted if hasattr(context, name)}
    logger.setLevel(logging.ERROR)
    for name in before:
        setattr(context, name, wanted[name])
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)


def _datasource(feed: Any) -> Any:
    """All shares of a feed in one read task, one block per share."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class FeedSource(Datasource):  # type: ignore[misc]
        def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002
            about = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(lambda: _blocks(feed), about)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_name(self) -> str:
            return "Feed"

    return FeedSource()


def _blocks(feed: Any) -> Iterator[Any]:
    """A block for every place, so that a restarted reader gives the same blocks at the same places."""
    import ray

    place = 0
    while (share := ray.get(feed.take.remote(place))) is not None:
        yield ray.get(share[0]) if share else empty_row()
        place += 1
