"""The collections that are served, open."""

import asyncio
from dataclasses import dataclass

from oneword.engine.encoder import Encoder
from oneword.query.server.batching import Batcher
from oneword.query.server.config import ServerConfig
from oneword.query.server.models import Models
from oneword.query.server.workers import Workers
from oneword.query.server.writer import Writer
from oneword.query.service import SearchService
from oneword.storage import Collection, CollectionNotFound, SpaceMismatch, Store


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
        self._opening: dict[str, asyncio.Task[Served]] = {}
        self._leaving: set[asyncio.Task[None]] = set()  # forgotten ones finish their writes

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
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.get_running_loop().create_task(self._opened(name))
            opening.add_done_callback(lambda done: self._arrived(name, done))
        return await asyncio.shield(opening)

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

    async def renewed(self, served: Served) -> Served | None:
        """The collection that has the name now; None if it is this very one, which stays open.

        For when one that is open no longer fits: it may have been dropped and made again. But the request may be what
        does not fit, and no request shall make others wait for a serving index to be opened again.

        Raises:
            CollectionNotFound, StoreUnavailable.
        """
        known = served.collection
        try:
            now = await self._workers.run("search", self.store.open, known.name)
        except CollectionNotFound:
            self._forget(served)
            raise
        if (now.created, now.space) == (known.created, known.space):
            return None
        self._forget(served)
        return await self.get(known.name)

    def forget(self, name: str) -> None:
        """Open it anew at the next request: it may have been dropped, renamed, or made again."""
        self._opening.pop(name, None)
        served = self._open.pop(name, None)
        if served is not None and served.writer.busy:
            leaving = asyncio.get_running_loop().create_task(served.writer.close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def forget_all(self) -> None:
        """As `forget`, of all."""
        for name in [*self._open, *self._opening]:
            self.forget(name)

    async def close(self) -> None:
        """Waits for the writes in hand."""
        await asyncio.gather(*self._leaving, *(served.writer.close() for served in self._open.values()))

    def _forget(self, served: Served) -> None:
        """Unless another is open by now."""
        if self._open.get(served.collection.name) is served:
            self.forget(served.collection.name)

    async def _opened(self, name: str) -> Served:
        collection = await self._workers.run("search", self.store.open, name)

        def loaded(_: object) -> Encoder:
            return self._models.loaded[str(collection.space["model"])].encoder

        return Served(
            collection=collection,
            service=SearchService.of(collection, self._config.model, loaded),
            writer=Writer(collection, self._workers),
        )

    def _arrived(self, name: str, opening: asyncio.Task[Served]) -> None:
        failed = opening.cancelled() or opening.exception() is not None
        if self._opening.get(name) is opening:  # else it was forgotten while it was opened
            del self._opening[name]
            if not failed:
                self._open[name] = opening.result()
