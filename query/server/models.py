"""The models that are loaded, each with its batcher."""

import asyncio
import logging
import time
from collections.abc import Callable

from engine.config import EngineConfig
from engine.encoder import Encoder
from engine.errors import EngineError
from engine.models import choose, load
from query.server.batching import Batcher, Meter
from query.server.cache import VectorCache
from query.server.config import ServerConfig
from query.server.workers import Workers

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
        self._failed: dict[str, tuple[float, EngineError]] = {}
        self._turn = asyncio.Lock()

    @property
    def loaded(self) -> dict[str, Batcher]:
        """By name, as collections name their models."""
        return self._loaded

    @property
    def wedged(self) -> list[str]:
        """Models that hang in a batch."""
        return [name for name, batcher in self._loaded.items() if batcher.wedged]

    async def get(self, name: str) -> Batcher:
        """The model's batcher, loading the model if need be.

        name: as a collection tells it; "auto": what this machine is best at.

        Raises:
            ModelError: it cannot be loaded.
        """
        ready = self._loaded.get(name)
        if ready is not None:
            return ready
        async with self._turn:  # one at a time: two may not fit
            if name not in self._loaded:
                self._loaded[name] = await self._made(name)
            return self._loaded[name]

    async def close(self) -> None:
        """Ends the batchers."""
        for batcher in dict.fromkeys(self._loaded.values()):
            await batcher.close()

    async def _made(self, name: str) -> Batcher:
        if name in self._failed and time.monotonic() - self._failed[name][0] < AGAIN:
            raise self._failed[name][1]
        started = time.monotonic()
        try:
            chosen = choose()[0] if self._config.model.for_space(name).model == "auto" else name
            if chosen != name and chosen in self._loaded:
                return self._loaded[chosen]
            encoder = await self._workers.run("slow", self._loader, self._config.model.for_space(chosen))
        except EngineError as error:
            self._failed[name] = (time.monotonic(), error)
            log.error("model %r cannot be loaded: %s", name, error)
            raise
        self._failed.pop(name, None)
        log.info("model %r loaded in %.1f s", encoder.name, time.monotonic() - started)
        return Batcher(
            encoder,
            self._cache,
            self._meter,
            window=self._config.batch_window,
            most=self._config.max_batch,
            wedged=self._config.wedged,
        )
