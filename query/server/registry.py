"""Models and collections of a running service: each is opened once, when it is first needed; and `State` of it all."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from oneword.engine.availability import choose
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.errors import EngineError, ModelError
from oneword.engine.models import load
from oneword.engine.views import DEFAULT
from oneword.query.jobs import Indexing, Jobs
from oneword.query.reranking import Rerankers
from oneword.query.server.batching import Batcher, VectorCache
from oneword.query.server.config import ServerConfig
from oneword.query.server.connections import Connections
from oneword.query.server.images import Images
from oneword.query.server.limits import MAX_ANSWERS
from oneword.query.server.load import ResponseMemory
from oneword.query.server.processes import Processes
from oneword.query.server.telemetry import Metrics, Span
from oneword.query.server.threads import Workers
from oneword.query.server.writer import Writer
from oneword.query.service import SearchService
from oneword.storage import Collection, CollectionNotFound, SpaceMismatch, Store

log = logging.getLogger(__name__)

PRELOAD = tuple(f"oneword.query.server.{name}" for name in ("entries", "images", "queries"))
"""Modules that worker processes import when they start."""

RETRY_AFTER = 30.0
"""Seconds until a model that failed to load is tried again: each try may read gigabytes."""


Wanted = tuple[str, str | None]
"""A model's name, and the revision that a collection's space has; None: any."""


class Models:
    """Loads each revision of a model once, when it is first needed, and keeps it. Use it from one event loop."""

    def __init__(
        self, config: ServerConfig, workers: Workers, metrics: Metrics, loader: Callable[[EngineConfig], Encoder] = load
    ) -> None:
        self._config, self._workers, self._metrics, self._loader = config, workers, metrics, loader
        self._cache = VectorCache(config.cache_bytes)
        self._loaded: dict[Wanted, Batcher] = {}
        self._loading: dict[Wanted, asyncio.Task[Batcher]] = {}
        self._failed: dict[Wanted, tuple[float, EngineError]] = {}
        self._load_lock = asyncio.Lock()

    @property
    def loaded(self) -> dict[str, Batcher]:
        """By each requested name, "auto" and names that the operator's model replaces included."""
        return {name: batcher for (name, _), batcher in self._loaded.copy().items()}  # read by other threads

    @property
    def batchers(self) -> dict[str, Batcher]:
        """By the model's own name; of several revisions the one loaded last."""
        return {one.encoder.name: one for one in self._loaded.copy().values()}

    @property
    def wedged(self) -> list[str]:
        """Models whose batch exceeds its time."""
        return sorted({one.encoder.name for one in self._loaded.copy().values() if one.wedged})

    @property
    def cached(self) -> int:
        """Bytes of vectors in the cache."""
        return self._cache.bytes

    def named(self, name: str) -> Batcher | None:
        """The loaded model with this name, its own or the operator's; None if it is not loaded.

        Never one that replaces it: its vectors would be of another space.
        """
        given = name in ("auto", self._config.model.model)
        return self.loaded.get(name) if given else self.batchers.get(name)

    def of(self, space: Mapping[str, Any]) -> Encoder:
        """The loaded model of a collection's space."""
        return self._loaded[self._wanted(space["model"], space["revision"])].encoder

    async def get(self, name: str, revision: str | None = None) -> Batcher:
        """The model's batcher. Loads the model if necessary, to the end even if the caller is cancelled.

        Args:
            name: as stored in a collection; "auto": the best model for this machine.
            revision: as stored in a collection, so that two revisions of a model can serve at a time.

        Raises:
            ModelError: it cannot be loaded.
        """
        wanted = self._wanted(name, revision)
        if (ready := self._loaded.get(wanted)) is not None:
            return ready
        when, error = self._failed.get(wanted, (0.0, None))
        if error is not None and time.monotonic() - when < RETRY_AFTER:
            raise error.with_traceback(None)  # a traceback would grow each time, and keep requests alive
        loading = self._loading.get(wanted)
        if loading is None:
            loading = self._loading[wanted] = asyncio.get_running_loop().create_task(self._load_wanted(wanted))
            loading.add_done_callback(lambda _: self._loading.pop(wanted))
        return await asyncio.shield(loading)

    async def close(self) -> None:
        """Closes the batchers. Does not wait for models that are loading."""
        for loading in self._loading.values():
            loading.cancel()
        await asyncio.gather(*(batcher.close() for batcher in set(self._loaded.values())))

    def _wanted(self, name: str, revision: str | None) -> Wanted:
        """What the operator insists on is what it is, whatever a collection has."""
        return name, revision if self._config.model.model == "auto" else None

    async def _load_wanted(self, wanted: Wanted) -> Batcher:
        name, revision = wanted
        try:
            async with self._load_lock:  # one at a time: two may not fit
                chosen = self._config.model.for_space(name).model
                if chosen == "auto":
                    chosen = (await self._workers.run("slow", choose))[0]
                batcher = self._loaded.get((chosen, revision)) or await self._load(chosen, revision)
        except Exception as error:
            known = error if isinstance(error, EngineError) else ModelError(f"{type(error).__name__}: {error}")
            self._failed[wanted] = (time.monotonic(), known)
            log.error("model %r cannot be loaded: %s", name, known, exc_info=None if known is error else error)
            raise known from (None if known is error else error)
        self._failed.pop(wanted, None)
        self._loaded |= dict.fromkeys((wanted, (chosen, revision)), batcher)
        return batcher

    async def _load(self, chosen: str, revision: str | None) -> Batcher:
        started = time.monotonic()
        encoder = await self._workers.run("slow", self._loader, self._config.model.for_space(chosen, revision))
        own = (encoder.name, encoder.space(DEFAULT).revision)
        if (known := self._loaded.get(own)) is not None:  # asked for without a revision, or with one it does not have
            return known
        log.info("model %r loaded in %.1f s", encoder.name, time.monotonic() - started)
        self._loaded[own] = self._loaded[encoder.name, None] = batcher = Batcher(
            encoder,
            self._cache,
            self._metrics,
            most=self._config.max_batch,
            wedged=self._config.wedged,
        )
        return batcher


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """An open collection with its search service and writer."""

    collection: Collection
    service: SearchService
    writer: Writer

    @property
    def model(self) -> str:
        """The name of its model."""
        return str(self.collection.space["model"])

    def check(self) -> None:
        """Raises SpaceMismatch or CollectionNotFound if another collection, or none, has the name by now."""
        if self.collection.snapshot().created != self.collection.created.isoformat():
            raise CollectionNotFound(self.collection.name, self.collection.uri)


class Collections:
    """Open collections: each is opened once, and again after `forget`. Use it from one event loop."""

    def __init__(self, config: ServerConfig, workers: Workers, models: Models) -> None:
        only = None if config.any_reranker else config.rerank or ""
        self.rerankers = Rerankers(config.model, only, most=config.deadline / 2)
        self.store = Store(config.db, lock_timeout=config.lock_timeout, config=config.storage)
        self._config, self._workers, self._models = config, workers, models
        self._open: dict[str, Served] = {}
        self._opening: dict[str, asyncio.Task[Served]] = {}
        self._leaving: set[asyncio.Task[None]] = set()  # forgotten collections finish their writes

    @property
    def open(self) -> dict[str, Served]:
        """Open collections by name."""
        return dict(self._open)

    async def get(self, name: str) -> Served:
        """The collection; opened again if another process has dropped or recreated it. Reads the store.

        Raises:
            CollectionNotFound, BadName, StoreUnavailable.
        """
        served = await self.opened(name)
        with suppress(SpaceMismatch, CollectionNotFound):
            await self._workers.run("search", served.check)
            return served
        if self._open.get(name) is served:  # no other one of that name is open by now
            self.forget(name)
        return await self.opened(name)

    async def opened(self, name: str) -> Served:
        """As `get`, but another process may have replaced it: call `check` in the thread that searches it."""
        if (served := self._open.get(name)) is not None:
            return served
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.get_running_loop().create_task(self._opened(name))
            opening.add_done_callback(lambda done: self._arrived(name, done))
        return await asyncio.shield(opening)

    async def batcher(self, served: Served) -> Batcher:
        """The batcher of the collection's model. The first time, compares its space with the collection's.

        Raises:
            ModelError: the model cannot be loaded.
            SpaceMismatch: it is not the model that the collection was made with.
        """
        batcher = await self._models.get(served.model, served.collection.space["revision"])
        if not served.service.loaded:
            await self._workers.run("search", lambda: served.service.encoder)
        return batcher

    async def replaced(self, name: str, before: Served | None) -> bool:
        """Whether another collection than `before`, which was open when a request came, has the name now.

        Raises:
            CollectionNotFound, StoreUnavailable.
        """
        return await self.get(name) is not before

    def forget(self, name: str) -> None:
        """Opens the collection again at the next request."""
        self._opening.pop(name, None)
        served = self._open.pop(name, None)
        if served is not None and served.writer.busy:
            leaving = asyncio.get_running_loop().create_task(served.writer.close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def forget_all(self) -> None:
        """Opens all collections again at their next request."""
        for name in [*self._open, *self._opening]:
            self.forget(name)

    async def close(self) -> None:
        """Waits for pending writes."""
        await asyncio.gather(*self._leaving, *(served.writer.close() for served in self._open.values()))

    async def _opened(self, name: str) -> Served:
        collection = await self._workers.run("search", self.store.open, name)

        def loaded(_: object) -> Encoder:
            return self._models.of(collection.space)

        return Served(
            collection=collection,
            service=SearchService.of(collection, self._config.model, loaded, self.rerankers),
            writer=Writer(collection, self._workers),
        )

    def _arrived(self, name: str, opening: asyncio.Task[Served]) -> None:
        failed = opening.cancelled() or opening.exception() is not None
        if self._opening.get(name) is opening:  # else it was forgotten meanwhile
            del self._opening[name]
            if not failed:
                self._open[name] = opening.result()


@dataclass(kw_only=True, eq=False)
class State:
    """Everything that lives as long as the service."""

    config: ServerConfig
    workers: Workers
    processes: Processes
    memory: ResponseMemory
    metrics: Metrics
    models: Models
    collections: Collections
    images: Images
    jobs: Jobs | None = None
    connections: Connections | None = None
    warm: bool = False
    reason: str = "starting"
    draining: bool = False
    overviews: OrderedDict[Any, Any] = field(default_factory=OrderedDict)

    @classmethod
    def of(
        cls,
        config: ServerConfig,
        indexing: Indexing | None = None,
        loader: Callable[[EngineConfig], Encoder] = load,
    ) -> "State":
        """A new state, with nothing open yet. indexing: starts jobs. loader: of models."""
        workers, metrics = Workers(), Metrics()
        processes = Processes(config.decoders, seconds=config.read_seconds, preload=PRELOAD)
        models = Models(config, workers, metrics, loader)
        named = None if config.model.model == "auto" else frozenset({config.model.model})
        collections = Collections(config, workers, models)
        return cls(
            config=config,
            workers=workers,
            processes=processes,
            memory=ResponseMemory(MAX_ANSWERS),
            metrics=metrics,
            models=models,
            collections=collections,
            images=Images(config, workers, processes),
            jobs=indexing(config.db, config.job_roots, models=named) if indexing and config.job_roots else None,
        )

    def reload(self) -> None:
        """Opens all collections again at their next request."""
        log.info("reloading")
        self.collections.forget_all()

    async def close(self) -> None:
        """Finishes pending writes, stops jobs, and ends threads and processes."""
        self.images.close()
        if self.jobs is not None:
            await asyncio.to_thread(self.jobs.close, self.config.deadline)
        await self.collections.close()
        await self.models.close()
        self.workers.close()
        self.processes.close()


def state_of(request: Request) -> State:
    """The state of the running service."""
    state: State = request.app.state.oneword
    return state


def record_stage(request: Request, name: str, milliseconds: float) -> None:
    """Records the time of a part of the request in the metrics and its span."""
    state_of(request).metrics.stage(name, milliseconds / 1000)
    span: Span | None = request.scope.get("state", {}).get("span")
    if span is not None:
        span.stage(name, milliseconds)


class Stopwatch:
    """Measures the time since its creation."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def ms(self) -> float:
        """Milliseconds."""
        return 1000 * (time.perf_counter() - self._began)
