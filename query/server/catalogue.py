"""The collections that are served, open."""

import asyncio
from dataclasses import dataclass

from engine.encoder import Encoder
from query.server.batching import Batcher
from query.server.config import ServerConfig
from query.server.models import Models
from query.server.workers import Workers
from query.server.writer import Writer
from query.service import SearchService
from storage import Collection, CollectionNotFound, SpaceMismatch, Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """An open collection, with what searches and writes it."""

    collection: Collection
    service: SearchService
    writer: Writer

    @property
    def model(self) -> str:
        """Its model's name."""
        return str(self.collection.space["model"])


class Catalogue:
    """Opens each collection once, and again after `forget`. Use it from one event loop."""

    def __init__(self, config: ServerConfig, workers: Workers, models: Models) -> None:
        self.store = Store(config.db, lock_timeout=config.lock_timeout, config=config.storage)
        self._config, self._workers, self._models = config, workers, models
        self._open: dict[str, Served] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @property
    def open(self) -> dict[str, Served]:
        """Those that are open, by name."""
        return dict(self._open)

    async def get(self, name: str) -> Served:
        """The collection.

        Raises:
            CollectionNotFound, BadName, StoreUnavailable.
        """
        if (served := self._open.get(name)) is not None:
            return served
        async with self._turns.setdefault(name, asyncio.Lock()):
            if name not in self._open:
                try:
                    self._open[name] = self._served(await self._workers.run("search", self.store.open, name))
                finally:
                    self._turns.pop(name, None)
            return self._open[name]

    async def current(self, name: str) -> Served:
        """As `get`, but opened anew if another process has dropped the collection, or made it again, since.

        Costs a look at the store: a search, which has its own, need not ask.
        """
        served = await self.get(name)
        try:
            await self._workers.run("search", served.collection.snapshot)
        except (SpaceMismatch, CollectionNotFound):
            self.forget(name)
            served = await self.get(name)
        return served

    async def batcher(self, served: Served) -> Batcher:
        """The batcher of the collection's model; the first time, its space is compared with the collection's.

        Raises:
            ModelError: the model cannot be loaded.
            SpaceMismatch: it is another than the collection was made with.
        """
        batcher = await self._models.get(served.model)
        if "encoder" not in served.service.__dict__:
            await self._workers.run("search", lambda: served.service.encoder)
        return batcher

    def forget(self, name: str) -> None:
        """Open it anew at the next request: it may have been dropped, renamed, or made again."""
        self._open.pop(name, None)

    def forget_all(self) -> None:
        """As `forget`, of all."""
        for name in list(self._open):
            self.forget(name)

    async def close(self) -> None:
        """Waits for the writes in hand."""
        for served in self._open.values():
            await served.writer.close()

    def _served(self, collection: Collection) -> Served:
        def loaded(_: object) -> Encoder:
            return self._models.loaded[str(collection.space["model"])].encoder

        return Served(
            collection=collection,
            service=SearchService.of(collection, self._config.model, loaded),
            writer=Writer(collection, self._workers),
        )
