"""Dynamic batching: inputs of concurrent requests are embedded together; and a cache of their vectors."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from oneword.engine.chunks import Splitter, fits
from oneword.engine.encoder import Encoder, Limited, Side
from oneword.engine.encoding import embed
from oneword.engine.errors import EncodingError, EngineError, ModelError
from oneword.engine.inputs import Input, texts_of
from oneword.engine.views import View
from oneword.query.server.telemetry import Metrics

log = logging.getLogger(__name__)

Vector = NDArray[np.float32]

Key = tuple[str, Side, str]
"""Fingerprint of the space, side, content hash: all that a vector depends on."""

CLOSE_TIMEOUT = 2.0
"""Seconds that `close` waits for the running batch."""

VIEWS = 64
"""Fingerprints cached; clients may send views of their own."""


class VectorCache:
    """An LRU cache of vectors, bounded in bytes. Not thread-safe.

    Keys must identify space, side and content: a hash of decoded pixels or of the text, never of a name.
    """

    def __init__(self, size: int) -> None:
        """size: bytes; 0: no cache."""
        self._size = size
        self._held = 0
        self._vectors: OrderedDict[Hashable, Vector] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Bytes of the cached vectors."""
        return self._held

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: Hashable) -> Vector | None:
        """The vector, float32 (d,), read-only; None if it is not cached."""
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
        return vector

    def put(self, key: Hashable, vector: Vector) -> None:
        """Adds a vector, and evicts the least recently used ones."""
        if key in self._vectors:
            self._vectors.move_to_end(key)
            return
        if vector.nbytes > self._size:
            return
        vector = vector.copy()  # a row would keep its whole batch alive
        vector.flags.writeable = False
        self._vectors[key] = vector
        self._held += vector.nbytes
        while self._held > self._size:
            self._held -= self._vectors.popitem(last=False)[1].nbytes


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pending:
    """An input to embed, and the futures that wait for its vector."""

    content: Input
    view: View
    side: Side
    waiting: set[asyncio.Future[Vector]] = field(default_factory=set)

    def resolve(self, outcome: Vector | Exception) -> None:
        for one in self.waiting:
            if one.done():
                continue
            if isinstance(outcome, Exception):
                one.set_exception(outcome)
            else:
                one.set_result(outcome)


class Batcher:
    """Embeds inputs of many requests with one encoder, in one thread.

    Inputs that arrive while the encoder works form the next batch; an idle encoder starts at once. Equal inputs are
    embedded once. An input that cannot be embedded fails only the requests that have it. Inputs of cancelled requests
    are dropped. Use it from one event loop.

    Args:
        most: inputs per batch; 1: no batching.
        wedged: seconds after which a running batch counts as hanging.
    """

    def __init__(self, encoder: Encoder, cache: VectorCache, metrics: Metrics, *, most: int, wedged: float) -> None:
        self.encoder = encoder
        self._cache, self._metrics = cache, metrics
        self._most, self._limit = most, wedged
        self._queue: dict[Key, _Pending] = {}  # in order of arrival
        self._running: dict[Key, _Pending] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._runner: asyncio.Task[None] | None = None
        self._since: float | None = None  # start of the running batch
        self._closed = False
        self._fingerprint = lru_cache(VIEWS)(lambda view: encoder.space(view).fingerprint)

    @property
    def waiting(self) -> int:
        """The number of inputs that wait."""
        return len(self._queue)

    @property
    def wedged(self) -> bool:
        """Whether the running batch exceeds its time."""
        since = self._since
        return since is not None and time.monotonic() - since > self._limit

    async def read(self, inputs: Sequence[Input]) -> list[Input]:
        """Returns what the model reads of each input: the very same one unless its text is over the model's limit."""
        limit = self.encoder.text_tokens if isinstance(self.encoder, Limited) else None
        if limit is None or all(fits(text, limit) for one in inputs for text in texts_of(one)):
            return list(inputs)
        return await asyncio.to_thread(lambda: [self._splitter.fitted(one) for one in inputs])

    @cached_property
    def _splitter(self) -> Splitter:
        return Splitter.of(self.encoder)

    async def embed(self, inputs: Sequence[Input], view: View, side: Side) -> list[Vector | EngineError]:
        """Returns for each input its unit vector, float32 (d,), read-only, or the error.

        Raises:
            ViewError: the model cannot follow the view.
            ModelError: the model hangs, or the batcher is closed.
            Exception: anything else that the model raised for one of the inputs.
        """
        fingerprint = self._fingerprint(view)
        keys = [(fingerprint, side, one.content_hash) for one in inputs]
        found: dict[Key, Vector | EngineError | None] = {key: self._cache.get(key) for key in keys}
        missing = {key: one for key, one in zip(keys, inputs, strict=True) if found[key] is None}
        self._metrics.cached(len(found) - len(missing), len(missing))
        if missing:
            for key, one in (await self._embedded(missing, view, side)).items():
                if isinstance(one, BaseException) and not isinstance(one, EngineError):
                    raise one
                found[key] = one
        return [vector for key in keys if (vector := found[key]) is not None]

    async def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Waits up to `timeout` seconds for the running batch, then fails pending requests."""
        self._closed = True
        self._fail_all(self._queue)
        if self._runner is not None:
            _, running = await asyncio.wait([self._runner], timeout=timeout)
            if running:
                log.error("model %r still runs a batch: not waiting any longer", self.encoder.name)
                self._fail_all(self._running)
                self._runner.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _embedded(
        self, missing: Mapping[Key, Input], view: View, side: Side
    ) -> dict[Key, Vector | EngineError | BaseException]:
        if self._closed:
            raise self._closing()
        if self.wedged:
            raise ModelError(f"model {self.encoder.name!r} has run one batch for over {self._limit:g} s: it hangs")
        waits = {key: self._enqueued(key, one, view, side) for key, one in missing.items()}
        try:
            results = await asyncio.gather(*(vector for _, vector in waits.values()), return_exceptions=True)
        finally:
            # Remove inputs that nobody waits for: behind an encoder that hangs, images would pile up.
            for key, (wanted, vector) in waits.items():
                wanted.waiting.discard(vector)
                if not wanted.waiting and self._queue.get(key) is wanted:
                    del self._queue[key]
        return dict(zip(missing, results, strict=True))

    def _enqueued(self, key: Key, content: Input, view: View, side: Side) -> tuple[_Pending, asyncio.Future[Vector]]:
        loop = asyncio.get_running_loop()
        wanted = self._running.get(key) or self._queue.get(key)
        if wanted is None:
            wanted = self._queue[key] = _Pending(content=content, view=view, side=side)
        vector: asyncio.Future[Vector] = loop.create_future()
        wanted.waiting.add(vector)
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        return wanted, vector

    async def _run(self) -> None:
        """Runs batches until the queue is empty."""
        loop = asyncio.get_running_loop()
        while batch := self._taken():
            self._running = batch
            self._since = started = time.monotonic()
            found: Mapping[Key, Vector | Exception]
            try:
                found = await loop.run_in_executor(self._thread, self._encoded, batch)
            except Exception as error:  # every waiting request must get it
                found = dict.fromkeys(batch, error)
            finally:
                self._since, self._running = None, {}
            self._metrics.batch(len(batch), time.monotonic() - started)
            for key, wanted in batch.items():
                one = found[key]
                if not isinstance(one, Exception):
                    self._cache.put(key, one)
                wanted.resolve(one)

    def _taken(self) -> dict[Key, _Pending]:
        """Takes the next batch: inputs with the space and side of the longest waiting one; empty if none wait."""
        batch: dict[Key, _Pending] = {}
        kind: tuple[object, ...] | None = None
        for key, wanted in list(self._queue.items()):
            if all(one.done() for one in wanted.waiting):  # cancelled a moment ago
                del self._queue[key]
            elif kind in (None, key[:2]):
                kind = key[:2]
                batch[key] = self._queue.pop(key)
                if len(batch) == self._most:
                    break
        return batch

    def _encoded(self, batch: Mapping[Key, _Pending]) -> dict[Key, Vector | Exception]:
        """Runs in the thread. An input that makes the model raise does not fail the others."""
        like = next(iter(batch.values()))
        try:
            vectors, failed = embed(
                {key: one.content for key, one in batch.items()}, self.encoder, like.view, like.side
            )
        except Exception as error:
            if len(batch) > 1:
                return {key: self._encoded({key: one})[key] for key, one in batch.items()}
            # Futures reject StopIteration.
            return dict.fromkeys(batch, RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        found: dict[Key, Vector | Exception] = {**vectors, **failed}
        for key, why in failed.items():
            if isinstance(why, EncodingError) and len(batch) > 1:  # its message names a position in the batch
                found |= self._encoded({key: batch[key]})
        for vector in vectors.values():
            vector.flags.writeable = False  # several may hold it
        return found

    def _closing(self) -> ModelError:
        return ModelError(f"model {self.encoder.name!r} is shutting down")

    def _fail_all(self, pending: dict[Key, _Pending]) -> None:
        for one in pending.values():
            one.resolve(self._closing())
        pending.clear()
