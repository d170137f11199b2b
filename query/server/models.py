"""The models that are loaded, each with its batcher."""

import asyncio
import logging
import time
from collections.abc import Callable

from oneword.engine.availability import choose
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.errors import EngineError, ModelError
from oneword.engine.models import load
from oneword.query.server.batching import Batcher, Meter
from oneword.query.server.cache import VectorCache
from oneword.query.server.config import ServerConfig
from oneword.query.server.workers import Workers

log = logging.getLogger(__name__)

AGAIN = 30.0
"""Seconds in which a model that could not be loaded is not tried again: each try may read gigabytes."""


class Models:
    """Loads each model once, when it is first needed, and keeps it. Use it from one event loop."""

    def __init__(
        self, config: ServerConfig, workers: Workers, meter: Meter, loader: Callable[[EngineConfig], Encoder] = load
    ) -> None:
        self._config, self._workers, self._meter, self._loader = config, workers, meter, loader
        self._cache = VectorCache(config.cache_bytes)
        self._loaded: dict[str, Batcher] = {}
        self._loading: dict[str, asyncio.Task[Batcher]] = {}
        self._failed: dict[str, tuple[float, EngineError]] = {}
        self._turn = asyncio.Lock()

    @property
    def loaded(self) -> dict[str, Batcher]:
        """By each name that was asked for: "auto", too, and names that the operator's model stands in for."""
        return dict(self._loaded)  # other threads read it

    @property
    def batchers(self) -> dict[str, Batcher]:
        """Each once, by its model's own name."""
        return {one.encoder.name: one for one in self.loaded.values()}

    @property
    def wedged(self) -> list[str]:
        """Models that hang in a batch."""
        return [name for name, batcher in self.batchers.items() if batcher.wedged]

    @property
    def cached(self) -> int:
        """Bytes of vectors in the cache."""
        return self._cache.bytes

    def named(self, name: str) -> Batcher | None:
        """The loaded model that a client means: by its own name, or as the operator gave it. None: it is not loaded.

        Never one that merely stands in for it: its vectors would be of another space.
        """
        given = name in ("auto", self._config.model.model)
        return self._loaded.get(name) if given else self.batchers.get(name)

    async def get(self, name: str) -> Batcher:
        """The model's batcher, loading the model if need be. It is loaded to the end, whoever gives up waiting.

        name: as a collection tells it; "auto": what this machine is best at.

        Raises:
            ModelError: it cannot be loaded.
        """
        if (ready := self._loaded.get(name)) is not None:
            return ready
        when, error = self._failed.get(name, (0.0, None))
        if error is not None and time.monotonic() - when < AGAIN:
            raise error.with_traceback(None)  # which would grow each time, and keep requests alive
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.get_running_loop().create_task(self._made(name))
            loading.add_done_callback(lambda _: self._loading.pop(name))
        return await asyncio.shield(loading)

    async def close(self) -> None:
        """Ends the batchers; models that are being loaded are not waited for."""
        for loading in self._loading.values():
            loading.cancel()
        await asyncio.gather(*(batcher.close() for batcher in self.batchers.values()))

    async def _made(self, name: str) -> Batcher:
        try:
            async with self._turn:  # one at a time: two may not fit
                chosen = self._config.model.for_space(name).model
                if chosen == "auto":
                    chosen = (await self._workers.run("slow", choose))[0]
                batcher = self._loaded.get(chosen) or await self._of(chosen)
        except Exception as error:
            known = error if isinstance(error, EngineError) else ModelError(f"{type(error).__name__}: {error}")
            self._failed[name] = (time.monotonic(), known)
            log.error("model %r cannot be loaded: %s", name, known, exc_info=None if known is error else error)
            raise known from (None if known is error else error)
        self._failed.pop(name, None)
        self._loaded |= dict.fromkeys((name, chosen, batcher.encoder.name), batcher)
        return batcher

    async def _of(self, chosen: str) -> Batcher:
        started = time.monotonic()
        encoder = await self._workers.run("slow", self._loader, self._config.model.for_space(chosen))
        log.info("model %r loaded in %.1f s", encoder.name, time.monotonic() - started)
        return Batcher(
            encoder,
            self._cache,
            self._meter,
            window=self._config.batch_window,
            most=self._config.max_batch,
            wedged=self._config.wedged,
        )
