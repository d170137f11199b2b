"""Runs an encoder over inputs: plans batches, overlaps their preparation with the forward pass, checks vectors."""

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.errors import DeviceOutOfMemory, EncodingError, EngineError
from oneword.engine.inputs import Input
from oneword.engine.views import View

Key = TypeVar("Key", bound=Hashable)

AHEAD = 2
"""Batches prepared ahead of the device: one ready, one on the way."""


def encode(
    encoder: Encoder, inputs: Sequence[Input], view: View, side: Side = Side.GALLERY, *, unit: bool = True
) -> Vectors:
    """Embeds inputs.

    A vector depends on the input, the view, the side and the model alone; batches only change the speed.

    Args:
        unit: scale each vector to unit length; else leave it as long as the model made it.

    Returns:
        float32 (len(inputs), d), in the order of the inputs; each row is finite and, with `unit`, of unit length.

    Raises:
        EncodingError: the model gave no vector, or one that is not finite or is zero; `index` says for which input.
        DeviceOutOfMemory: not even one input alone fits the device.
        ViewError: the model cannot follow this view.
    """
    return Encoding(encoder, inputs, view, side).vectors(unit=unit)


class Encoding:
    """Inputs whose first batches are prepared in a thread before `vectors` is called.

    So a second one can start while the first one's batches keep the device busy.

    Raises:
        ViewError: the model cannot follow this view.
    """

    def __init__(self, encoder: Encoder, inputs: Sequence[Input], view: View, side: Side = Side.GALLERY) -> None:
        self._encoder, self._inputs, self._view, self._side = encoder, inputs, view, side
        self._todo = deque(encoder.plan(inputs, view, side)) if inputs else deque[list[int]]()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._ready: deque[tuple[list[int], Future[Any]]] = deque()
        self._prepare_ahead()

    @property
    def ending(self) -> bool:
        """Whether the last batch is on the device, or no batch is left. Callable from any thread; approximate."""
        return not self._todo and not self._ready

    def vectors(self, *, unit: bool = True) -> Vectors:
        """Runs the model over all batches. Call it once. Args, returns and raises: as `encode`."""
        vectors = np.empty((len(self._inputs), self._encoder.dimension), dtype=np.float32)
        try:
            while self._todo or self._ready:
                self._prepare_ahead()
                batch, prepared = self._ready.popleft()
                try:
                    vectors[batch] = self._encoder.finish(self._encoder.forward(prepared.result()))
                except EncodingError as error:
                    raise EncodingError(str(error), index=batch[error.index]) from error
                except DeviceOutOfMemory:
                    if len(batch) == 1:
                        raise
                    # Other batches that were planned at that size are halved in turn.
                    middle = len(batch) // 2
                    self._ready.appendleft(self._prepared(batch[middle:]))
                    self._ready.appendleft(self._prepared(batch[:middle]))
        finally:
            self._thread.shutdown(cancel_futures=True)
        return _checked(vectors, self._inputs, unit=unit)

    def _prepare_ahead(self) -> None:
        while self._todo and len(self._ready) < AHEAD:
            self._ready.append(self._prepared(self._todo.popleft()))

    def _prepared(self, batch: list[int]) -> tuple[list[int], Future[Any]]:
        some = [self._inputs[i] for i in batch]
        return batch, self._thread.submit(self._encoder.prepare, some, self._view, self._side)


def _checked(vectors: Vectors, inputs: Sequence[Input], *, unit: bool) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if bad.size:
        index = int(bad[0])
        raise EncodingError(
            f"input {index} ({type(inputs[index]).__name__}) got a vector of length {lengths[index, 0]}: "
            "expected a finite, non-zero one; if the model runs in fp16, use --dtype bf16 or fp32",
            index=index,
        )
    scaled: Vectors = (vectors / lengths).astype(np.float32) if unit else vectors
    return scaled


class Started(Generic[Key]):
    """Inputs by key that are being prepared; `result` embeds them, and those that fail do not fail the others.

    Raises:
        ViewError: the model cannot follow this view.
    """

    def __init__(self, contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY) -> None:
        self.contents, self._how = contents, (encoder, view, side)
        self._encoding = Encoding(encoder, list(contents.values()), view, side)

    @property
    def ending(self) -> bool:
        """See `Encoding`."""
        return self._encoding.ending

    def result(self) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
        """Returns unit vectors, float32 (d,), and errors, each by the key of its input.

        An input that the model has no vector for is left out and the rest embedded again. If the device runs out of
        memory, the inputs are halved until the one that needs too much is found.
        """
        todo, failed, encoding = dict(self.contents), dict[Key, EngineError](), self._encoding
        while True:
            keys = list(todo)
            try:
                return dict(zip(keys, encoding.vectors(), strict=True)), failed
            except EncodingError as error:
                failed[keys[error.index]] = error
                del todo[keys[error.index]]
            except DeviceOutOfMemory as error:
                if len(keys) == 1:
                    return {}, failed | {keys[0]: error}
                middle = len(keys) // 2
                halves = [
                    embed({key: todo[key] for key in half}, *self._how) for half in (keys[:middle], keys[middle:])
                ]
                return halves[0][0] | halves[1][0], failed | halves[0][1] | halves[1][1]
            encoder, view, side = self._how
            encoding = Encoding(encoder, list(todo.values()), view, side)


def embed(
    contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY
) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
    """Embeds inputs by key. Returns and raises: as `Started.result`."""
    return Started(contents, encoder, view, side).result()
