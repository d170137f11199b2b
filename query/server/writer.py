"""One collection's writes: those that arrive together are committed together, and acknowledged after that."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneword.query.server.workers import Workers
from oneword.storage import Collection, Filter, Item, Locked, StorageError

log = logging.getLogger(__name__)

COMMITS = 50
"""After so many, small files are merged and old versions removed. A commit adds a file, and searches read them all."""

ITEMS = 10_000
"""Most items of one commit, unless one request has more: the first to wait shall not wait for all."""

REST = 5.0
"""Seconds between two looks at whether the serving index is due."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of the items of one request.

    Args:
        known: ids that were there before.
        refused: ids that cannot be stored, each with why.
        version: of the collection, that has them.
    """

    known: frozenset[str]
    refused: dict[str, str]
    version: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Write:
    """items: to store; or delete: what deletes, and says how many."""

    items: Sequence[Item] = ()
    delete: Callable[[], int] | None = None
    done: asyncio.Future[Any] = field(default_factory=asyncio.Future)

    def fits(self, group: "Sequence[_Write]", ids: set[str], items: int) -> bool:
        """Whether it may be of the same commit. Two writes of one id may not: each is told what became of its own."""
        if not group:
            return True
        if self.delete or group[0].delete or items + len(self.items) > ITEMS:
            return False
        return ids.isdisjoint(item.id for item in self.items)


class Writer:
    """Writes a collection in the order of arrival; use it from one event loop.

    While a commit is made, what arrives waits, and the upserts among it become the next commit: many small writes cost
    as much as a few large ones. A write is done when it returns; one whose request was given up may be done anyway.
    """

    def __init__(self, collection: Collection, workers: Workers) -> None:
        self._collection, self._workers = collection, workers
        self._queue: deque[_Write] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._commits = 0
        self._looked = 0.0
        self._closing = False

    @property
    def waiting(self) -> int:
        """Writes that wait for a commit."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether writes wait or are being done."""
        return self._runner is not None and not self._runner.done()

    async def upsert(self, items: Sequence[Item]) -> Written:
        """Stores items with vectors; those that cannot be stored do not keep the others from it.

        Raises:
            Locked: another process writes the collection; nothing was stored.
            StorageError: as `Collection.upsert`.
        """
        written: Written = await self._done(_Write(items=items))
        return written

    async def delete(self, ids: Sequence[str]) -> tuple[int, int]:
        """Deletes by id; how many there were, and the version without them. Raises as `upsert`."""
        deleted: tuple[int, int] = await self._done(_Write(delete=lambda: self._collection.delete(ids)))
        return deleted

    async def delete_where(self, condition: Filter) -> tuple[int, int]:
        """Deletes what a filter finds; as `delete`. Raises FilterError, too."""
        deleted: tuple[int, int] = await self._done(_Write(delete=lambda: self._collection.delete_where(condition)))
        return deleted

    async def close(self) -> None:
        """Waits until all writes are done."""
        self._closing = True
        while self.busy and self._runner is not None:
            await asyncio.wait([self._runner])  # who gives up waiting does not end them

    async def _done(self, write: _Write) -> Any:
        self._queue.append(write)
        if not self.busy:
            self._runner = asyncio.get_running_loop().create_task(self._run())
        return await write.done

    async def _run(self) -> None:
        while self._queue:
            group = self._taken()
            if not group:
                continue
            try:
                told = await self._workers.run("write", self._written, group)
            except Exception as error:
                if isinstance(error, Locked):  # who waits behind would wait as long again, each in turn, and in vain
                    group += self._queue
                    self._queue.clear()
                told = [error] * len(group)
            for write, one in zip(group, told, strict=True):
                if write.done.done():
                    continue
                if isinstance(one, Exception):
                    write.done.set_exception(one)
                else:
                    write.done.set_result(one)
            if not self._closing and (not self._queue or self._commits >= COMMITS):
                await self._workers.run("write", self._tidied)

    def _taken(self) -> list[_Write]:
        """One delete, or upserts that go into one commit; without those that were given up before their turn."""
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

    def _written(self, group: Sequence[_Write]) -> list[Any]:
        """In a thread: one commit."""
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

    def _tidied(self) -> None:
        """In a thread, when nobody waits or it is high time: what keeps searches quick. No request fails for it."""
        try:
            if self._commits >= COMMITS:
                self._commits = 0
                self._collection.optimize()
            if time.monotonic() - self._looked > REST:
                self._looked = time.monotonic()
                self._collection.keep_index(aside=True)
        except Exception as error:  # who waits behind it must have their turn
            unknown = None if isinstance(error, StorageError) else error
            name = self._collection.name
            log.warning("collection %r is written, but could not be tidied: %s", name, error, exc_info=unknown)
