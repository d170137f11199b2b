"""The writer of a collection: concurrent writes share a commit (group commit) and are acknowledged after it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneword.query.server.threads import Workers
from oneword.storage import Collection, Filter, Item, Locked, StorageError

log = logging.getLogger(__name__)

COMMITS = 50
"""Commits after which small files are merged and old versions removed: searches read the files of all commits."""

ITEMS = 10_000
"""Maximum items of a commit, unless one request has more: the first request must not wait for all others."""

INDEX_CHECK = 5.0
"""Seconds between two checks whether the ANN index needs a build."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The outcome of a request's items.

    Args:
        known: ids that existed before.
        refused: ids that cannot be stored, with the reason.
        version: of the collection that contains them.
    """

    known: frozenset[str]
    refused: dict[str, str]
    version: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Write:
    """items: to store; or delete: a function that deletes and returns how many."""

    items: Sequence[Item] = ()
    delete: Callable[[], int] | None = None
    done: asyncio.Future[Any] = field(default_factory=asyncio.Future)

    def fits(self, group: "Sequence[_Write]", ids: set[str], items: int) -> bool:
        """Whether it can share the group's commit. Two writes of one id cannot: each reports its own outcome."""
        if not group:
            return True
        if self.delete or group[0].delete or items + len(self.items) > ITEMS:
            return False
        return ids.isdisjoint(item.id for item in self.items)


class Writer:
    """Writes a collection in order of arrival. Use it from one event loop.

    Upserts that arrive during a commit form the next commit, so many small writes cost as much as a few large ones. A
    write is committed when its call returns; a cancelled one may be committed too.
    """

    def __init__(self, collection: Collection, workers: Workers) -> None:
        self._collection, self._workers = collection, workers
        self._queue: deque[_Write] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._commits = 0
        self._checked = 0.0
        self._closing = False

    @property
    def waiting(self) -> int:
        """The number of writes that wait for a commit."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether writes wait or are running."""
        return self._runner is not None and not self._runner.done()

    async def upsert(self, items: Sequence[Item]) -> Written:
        """Stores items with vectors; items that cannot be stored do not affect the others.

        Raises:
            Locked: another process writes the collection; nothing was stored.
            StorageError: as `Collection.upsert`.
        """
        written: Written = await self._done(_Write(items=items))
        return written

    async def delete(self, ids: Sequence[str]) -> tuple[int, int]:
        """Deletes by id. Returns how many items were deleted, and the version without them. Raises as `upsert`."""
        deleted: tuple[int, int] = await self._done(_Write(delete=lambda: self._collection.delete(ids)))
        return deleted

    async def delete_where(self, condition: Filter) -> tuple[int, int]:
        """Deletes what a filter matches; as `delete`. Also raises FilterError."""
        deleted: tuple[int, int] = await self._done(_Write(delete=lambda: self._collection.delete_where(condition)))
        return deleted

    async def close(self) -> None:
        """Waits until all writes are done."""
        self._closing = True
        while self.busy and self._runner is not None:
            await asyncio.wait([self._runner])  # cancelling the wait does not cancel the writes

    async def _done(self, write: _Write) -> Any:
        self._queue.append(write)
        if not self.busy:
            self._runner = asyncio.get_running_loop().create_task(self._run())
        return await write.done

    async def _run(self) -> None:
        while self._queue:
            group = self._next_group()
            if not group:
                continue
            try:
                outcomes = await self._workers.run("write", self._commit, group)
            except Exception as error:
                if isinstance(error, Locked):  # the others would wait as long again, in vain
                    group += self._queue
                    self._queue.clear()
                outcomes = [error] * len(group)
            for write, one in zip(group, outcomes, strict=True):
                if write.done.done():
                    continue
                if isinstance(one, Exception):
                    write.done.set_exception(one)
                else:
                    write.done.set_result(one)
            if not self._closing and (not self._queue or self._commits >= COMMITS):
                await self._workers.run("write", self._maintain)

    def _next_group(self) -> list[_Write]:
        """One delete, or upserts that share a commit; without cancelled ones."""
        group: list[_Write] = []
        ids: set[str] = set()
        items = 0
        while self._queue:
            write = self._queue[0]
            if not write.done.done():
                if not write.fits(group, ids, items):
                    break
                group.append(write)
                ids.update(item.id for item in write.items)
                items += len(write.items)
            self._queue.popleft()
        return group

    def _commit(self, group: Sequence[_Write]) -> list[Any]:
        """Runs in a thread: makes one commit."""
        if delete := group[0].delete:
            with self._collection.writing():
                deleted = delete()
                self._commits += 1
                return [(deleted, self._collection.version)]
        items = [item for write in group for item in write.items]
        with self._collection.writing():
            refused = self._collection.check(items)
            good = [item for item in items if item.id not in refused]
            known = frozenset(self._collection.content_hashes(item.id for item in good))
            self._collection.upsert(good)
            self._commits += 1
            version = self._collection.version
        return [
            Written(
                known=known.intersection(item.id for item in write.items),
                refused={item.id: refused[item.id] for item in write.items if item.id in refused},
                version=version,
            )
            for write in group
        ]

    def _maintain(self) -> None:
        """Runs in a thread, when no write waits or it is overdue: keeps searches fast. Errors are only logged."""
        try:
            if self._commits >= COMMITS:
                self._commits = 0
                self._collection.optimize()
            if time.monotonic() - self._checked > INDEX_CHECK:
                self._checked = time.monotonic()
                self._collection.keep_index(aside=True)
        except Exception as error:  # waiting writes must go on
            unknown = None if isinstance(error, StorageError) else error
            name = self._collection.name
            log.warning("collection %r: maintenance after a write failed: %s", name, error, exc_info=unknown)
