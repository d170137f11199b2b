"""The Ray Data pipeline: shares in, what is to be committed out."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from oneword.indexer.distributed import feed as feeding
from oneword.indexer.distributed.actors import Embedder, FragmentWriter, Loader
from oneword.indexer.distributed.cluster import Pools
from oneword.indexer.distributed.rows import from_block
from oneword.indexer.distributed.settings import WorkerSettings

GROUPS = 8
"""Encoded groups that become one fragment: 2,048 texts or 512 pictures if they are full."""

AT_ONCE = 2
"""Blocks that a loader works on at once, so that one slow input does not leave its process idle."""


class Pipeline:
    """Runs in a thread of its own. Tells `results` what is written; at the end None, or the exception that ended it.

    A process that dies is started again by Ray, and what it was at is done again, without end: an input cannot kill a
    process here, for decoding happens in yet another one.
    """

    def __init__(self, ray: Any, settings: WorkerSettings, pools: Pools, results: "Queue[tuple[Any, Any]]") -> None:
        """results: gets (this pipeline, a Written or None or an exception)."""
        self._ray, self._results = ray, results
        self._data: Any = None
        self.place = 0
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # what only waits is not to be lost
        make = ray.remote(num_cpus=0, max_concurrency=1000)(feeding.Feed)
        self.feed = make.options(label_selector=here).remote()
        self._thread = threading.Thread(target=self._run, args=(settings, pools, here), name="pipeline", daemon=True)
        self._thread.start()
        self.nodes = alive(ray)

    def put(self, block: Any) -> None:
        """Takes a reference to a share's block, which gets the place in the feed that `place` says."""
        self.place += 1
        self._ray.get(self.feed.put.remote([block]))

    def forget(self, places: list[int]) -> None:
        """Those shares are done."""
        self.feed.forget.remote(places)

    def close(self) -> None:
        """No more shares."""
        self._ray.get(self.feed.close.remote())

    def abandon(self) -> None:
        """Ends it, whatever it is at."""
        self._ray.kill(self.feed)
        executor = getattr(self._data, "_current_executor", None)
        if executor is not None:  # nothing public ends what waits for processes that cannot be placed
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
            feeding.datasource(self.feed),
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
    """The nodes that are there."""
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
