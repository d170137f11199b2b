"""Hands the driver's shares to a Ray Data pipeline: a queue, and the datasource that empties it."""

import asyncio
from collections.abc import Iterator
from typing import Any

from oneword.indexer.distributed.rows import empty_row


class Feed:
    """A queue of shares, as an actor on the driver's node. A share that was taken can be taken again, by its place in
    the queue, until the driver forgets it: whoever took it may be lost."""

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


def datasource(feed: Any) -> Any:
    """All shares of a feed, as they come: one read task, each share a block."""
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
    """A block for every place, so that a reader that starts again gives the same ones at the same places."""
    import ray

    place = 0
    while (share := ray.get(feed.take.remote(place))) is not None:
        yield ray.get(share[0]) if share else empty_row()
        place += 1
