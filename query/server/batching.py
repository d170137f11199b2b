"""Dynamic batching: inputs of requests that arrive together are embedded together."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from oneword.engine.encoder import Encoder, Side
from oneword.engine.encoding import embed
from oneword.engine.errors import EncodingError, EngineError, ModelError
from oneword.engine.inputs import Input
from oneword.engine.views import View
from oneword.query.server.cache import Vector, VectorCache

log = logging.getLogger(__name__)

Key = tuple[str, Side, str]
"""Fingerprint of the space, side, content hash: what a vector depends on."""

PATIENCE = 2.0
"""Seconds that `close` waits for the batch in hand."""

VIEWS = 64
"""Fingerprints kept; clients may send views of their own."""


class Meter(Protocol):
    """Is told what is done."""

    def batch(self, size: int, seconds: float) -> None:
        """So many inputs were encoded together."""

    def cached(self, hits: int, misses: int) -> None:
        """So many vectors were in the cache, and were not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wanted:
    """An input to embed, and those who wait for its vector."""

    content: Input
    view: View
    side: Side
    waiting: set[asyncio.Future[Vector]] = field(default_factory=set)

    def tell(self, outcome: Vector | Exception) -> None:
        for one in self.waiting:
            if one.done():
                continue
            if isinstance(outcome, Exception):
                one.set_exception(outcome)
            else:
                one.set_result(outcome)


class Batcher:
    """Embeds for many requests with one encoder, which one thread runs.

    While the encoder works, what arrives waits and becomes the next batch; an idle encoder waits for company for a
    small window first. What several ask for is embedded once. An input that cannot be embedded fails those who asked
    for it and nobody else. Who gives up waiting (a request cancelled) is left out. Use it from one event loop.

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
        self._queue: dict[Key, _Wanted] = {}  # in the order of arrival
        self._in_hand: dict[Key, _Wanted] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._runner: asyncio.Task[None] | None = None
        self._since: float | None = None  # when the batch in hand was begun
        self._closed = False
        self._fingerprint = lru_cache(VIEWS)(lambda view: encoder.space(view).fingerprint)

    @property
    def waiting(self) -> int:
        """Inputs that wait for a batch."""
        return len(self._queue)

    @property
    def wedged(self) -> bool:
        """Whether the encoder has been at one batch for longer than it should."""
        since = self._since
        return since is not None and time.monotonic() - since > self._limit

    async def embed(self, inputs: Sequence[Input], view: View, side: Side) -> list[Vector | EngineError]:
        """Of each input its unit vector, float32 (d,), read-only; or why it has none.

        Raises:
            ViewError: the model cannot follow the view.
            ModelError: the model hangs, or is being closed.
            Exception: whatever else the model raised for one of the inputs.
        """
        fingerprint = self._fingerprint(view)
        keys = [(fingerprint, side, one.content_hash) for one in inputs]
        found: dict[Key, Vector | EngineError | None] = {key: self._cache.get(key) for key in keys}
        missing = {key: one for key, one in zip(keys, inputs, strict=True) if found[key] is None}
        self._meter.cached(len(found) - len(missing), len(missing))
        if missing:
            for key, one in (await self._embedded(missing, view, side)).items():
                if isinstance(one, BaseException) and not isinstance(one, EngineError):
                    raise one
                found[key] = one
        return [vector for key in keys if (vector := found[key]) is not None]

    async def close(self, patience: float = PATIENCE) -> None:
        """Ends, after the batch in hand if it does not take longer than `patience` seconds. Who waits is told so."""
        self._closed = True
        self._tell_all(self._queue)
        if self._runner is not None:
            _, running = await asyncio.wait([self._runner], timeout=patience)
            if running:
                log.error("model %r is still at a batch: not waited for any longer", self.encoder.name)
                self._tell_all(self._in_hand)
                self._runner.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _embedded(
        self, missing: Mapping[Key, Input], view: View, side: Side
    ) -> dict[Key, Vector | EngineError | BaseException]:
        if self._closed:
            raise self._closing()
        if self.wedged:
            raise ModelError(f"model {self.encoder.name!r} has been at one batch for over {self._limit:g} s: it hangs")
        waits = {key: self._enqueued(key, one, view, side) for key, one in missing.items()}
        try:
            told = await asyncio.gather(*(vector for _, vector in waits.values()), return_exceptions=True)
        finally:
            # Who gives up takes its input along: behind an encoder that hangs, pictures would pile up.
            for key, (wanted, vector) in waits.items():
                wanted.waiting.discard(vector)
                if not wanted.waiting and self._queue.get(key) is wanted:
                    del self._queue[key]
        return dict(zip(missing, told, strict=True))

    def _enqueued(self, key: Key, content: Input, view: View, side: Side) -> tuple[_Wanted, asyncio.Future[Vector]]:
        loop = asyncio.get_running_loop()
        wanted = self._in_hand.get(key) or self._queue.get(key)
        if wanted is None:
            wanted = self._queue[key] = _Wanted(content=content, view=view, side=side)
        vector: asyncio.Future[Vector] = loop.create_future()
        wanted.waiting.add(vector)
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        return wanted, vector

    async def _run(self) -> None:
        """Works until nobody waits."""
        if self._window and len(self._queue) < self._most:
            await asyncio.sleep(self._window)
        loop = asyncio.get_running_loop()
        while batch := self._taken():
            self._in_hand = batch
            self._since = started = time.monotonic()
            found: Mapping[Key, Vector | Exception]
            try:
                found = await loop.run_in_executor(self._thread, self._encoded, batch)
            except Exception as error:  # whatever the model raises, those who wait must hear of it
                found = dict.fromkeys(batch, error)
            finally:
                self._since, self._in_hand = None, {}
            self._meter.batch(len(batch), time.monotonic() - started)
            for key, wanted in batch.items():
                one = found[key]
                if not isinstance(one, Exception):
                    self._cache.put(key, one)
                wanted.tell(one)

    def _taken(self) -> dict[Key, _Wanted]:
        """The next batch: of one space and side, which is the one that has waited longest; empty if nobody waits."""
        batch: dict[Key, _Wanted] = {}
        kind: tuple[object, ...] | None = None
        for key, wanted in list(self._queue.items()):
            if all(one.done() for one in wanted.waiting):  # given up a moment ago
                del self._queue[key]
            elif kind in (None, key[:2]):
                kind = key[:2]
                batch[key] = self._queue.pop(key)
                if len(batch) == self._most:
                    break
        return batch

    def _encoded(self, batch: Mapping[Key, _Wanted]) -> dict[Key, Vector | Exception]:
        """In the thread. What one input makes the model raise does not fail the others."""
        like = next(iter(batch.values()))
        try:
            vectors, failed = embed(
                {key: one.content for key, one in batch.items()}, self.encoder, like.view, like.side
            )
        except Exception as error:
            if len(batch) > 1:
                return {key: self._encoded({key: one})[key] for key, one in batch.items()}
            # No future takes a StopIteration.
            return dict.fromkeys(batch, RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        found: dict[Key, Vector | Exception] = {**vectors, **failed}
        for key, why in failed.items():
            if isinstance(why, EncodingError) and len(batch) > 1:  # it names a place among other people's inputs
                found |= self._encoded({key: batch[key]})
        for vector in vectors.values():
            vector.flags.writeable = False  # several may hold it
        return found

    def _closing(self) -> ModelError:
        return ModelError(f"model {self.encoder.name!r} is being closed: expected a service that goes on")

    def _tell_all(self, wanted: dict[Key, _Wanted]) -> None:
        for one in wanted.values():
            one.tell(self._closing())
        wanted.clear()
