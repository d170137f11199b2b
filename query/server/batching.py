"""Dynamic batching: inputs of requests that arrive together are embedded together."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from engine.embedding import embed
from engine.encoder import Encoder, Side
from engine.errors import EngineError
from engine.inputs import Input
from engine.views import View
from query.server.cache import Vector, VectorCache

Key = tuple[str, Side, str]
"""Fingerprint of the space, side, content hash: what a vector depends on."""


class Meter(Protocol):
    """Is told what is done."""

    def batch(self, size: int, seconds: float) -> None:
        """So many inputs were encoded together."""

    def cached(self, hits: int, misses: int) -> None:
        """So many vectors were in the cache, and were not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting:
    key: Key
    content: Input
    view: View
    side: Side
    vector: asyncio.Future[Vector]


class Batcher:
    """Embeds for many requests with one encoder, which one thread runs.

    While the encoder works, what arrives waits and becomes the next batch; an idle encoder waits for company for a
    small window first. An input that cannot be embedded fails those who asked for it and nobody else. Who gives up
    waiting (a request cancelled) is left out of the batch. Use it from one event loop.

    Args:
        window: seconds.
        most: inputs in a batch; 1 switches batching off.
        wedged: seconds in one batch after which the encoder is taken to hang.
    """

    def __init__(
        self, encoder: Encoder, cache: VectorCache, meter: Meter, *, window: float, most: int, wedged: float
    ) -> None:
        self.encoder = encoder
        self._cache, self._meter = cache, meter
        self._window, self._most, self._limit = window if most > 1 else 0.0, most, wedged
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._runner: asyncio.Task[None] | None = None
        self._since: float | None = None  # when the batch in hand was begun
        self._fingerprints: dict[View, str] = {}

    @property
    def waiting(self) -> int:
        """Inputs that wait for a batch."""
        return len(self._queue)

    @property
    def wedged(self) -> bool:
        """Whether the encoder has been at one batch for longer than it should."""
        return self._since is not None and time.monotonic() - self._since > self._limit

    async def embed(self, inputs: Sequence[Input], view: View, side: Side) -> list[Vector | EngineError]:
        """Of each input its unit vector, float32 (d,), or why it has none.

        Raises:
            ViewError: the model cannot follow the view.
        """
        fingerprint = self._fingerprint(view)
        keys = [(fingerprint, side, one.content_hash) for one in inputs]
        found: dict[Key, Vector | EngineError | None] = {key: self._cache.get(key) for key in keys}
        missing = {key: one for key, one in zip(keys, inputs, strict=True) if found[key] is None}
        self._meter.cached(len(found) - len(missing), len(missing))
        if missing:
            waits = [self._enqueued(key, one, view, side) for key, one in missing.items()]
            try:
                told = await asyncio.gather(*(wait.vector for wait in waits), return_exceptions=True)
            finally:
                for wait in waits:
                    wait.vector.cancel()
            for key, one in zip(missing, told, strict=True):
                if not isinstance(one, BaseException | EngineError) or isinstance(one, EngineError):
                    found[key] = one
                else:
                    raise one
        return [vector for key in keys if (vector := found[key]) is not None]

    async def close(self) -> None:
        """Ends the thread, after the batch in hand. Who still waits is cancelled."""
        for wait in self._queue:
            wait.vector.cancel()
        self._queue.clear()
        if self._runner is not None:
            await self._runner
        self._thread.shutdown(wait=not self.wedged, cancel_futures=True)

    def _fingerprint(self, view: View) -> str:
        if view not in self._fingerprints:
            self._fingerprints[view] = self.encoder.space(view).fingerprint
        return self._fingerprints[view]

    def _enqueued(self, key: Key, content: Input, view: View, side: Side) -> _Waiting:
        loop = asyncio.get_running_loop()
        wait = _Waiting(key=key, content=content, view=view, side=side, vector=loop.create_future())
        self._queue.append(wait)
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        return wait

    async def _run(self) -> None:
        """Works until nobody waits."""
        if self._window:
            await asyncio.sleep(self._window)
        while self._queue:
            batch = self._taken()
            if not batch:
                continue
            self._since = started = time.monotonic()
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._encoded, batch)
            try:
                found = await work
            except Exception as error:  # whatever the model raises, those who wait must hear of it
                found = {wait.key: error for wait in batch}
            self._since = None
            self._meter.batch(len({wait.key for wait in batch}), time.monotonic() - started)
            self._tell(batch, found)

    def _taken(self) -> list[_Waiting]:
        """The next batch: of one view and side, without those who gave up."""
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        keys: set[Key] = set()
        while self._queue and len(keys) < self._most:
            wait = self._queue.popleft()
            if wait.vector.done():
                continue
            if batch and (wait.view, wait.side) != (batch[0].view, batch[0].side):
                left.append(wait)
                continue
            batch.append(wait)
            keys.add(wait.key)
        self._queue.extendleft(reversed(left))
        return batch

    def _encoded(self, batch: Sequence[_Waiting]) -> dict[Key, Vector | Exception]:
        """In the thread. What one input makes the model raise does not fail the others."""
        contents: dict[Key, Input] = {wait.key: wait.content for wait in batch}
        try:
            vectors, failed = embed(contents, self.encoder, batch[0].view, batch[0].side)
        except Exception:
            if len(contents) == 1:
                raise
            return {key: self._alone(key, one, batch[0]) for key, one in contents.items()}
        return {**vectors, **failed}

    def _alone(self, key: Key, content: Input, like: _Waiting) -> Vector | Exception:
        try:
            vectors, failed = embed({key: content}, self.encoder, like.view, like.side)
        except Exception as error:
            return error
        return vectors[key] if key in vectors else failed[key]

    def _tell(self, batch: Sequence[_Waiting], found: dict[Key, Vector | Exception]) -> None:
        for key, one in found.items():
            if not isinstance(one, Exception):
                self._cache.put(key, one)
        for wait in batch:
            if wait.vector.done():
                continue
            one = found[wait.key]
            if isinstance(one, Exception):
                wait.vector.set_exception(one)
            else:
                wait.vector.set_result(one)
