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


REFUSALS = (ValueError, OSError, ArithmeticError)
"""What a library's processor raises for an image or a text that it cannot take, such as one of 10,000 x 1 pixels."""


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
        vectors, failed = self.outcome(unit=unit)
        for position in sorted(failed):
            raise failed[position]
        return vectors

    def outcome(self, *, unit: bool = True) -> tuple[Vectors, dict[int, EncodingError]]:
        """As `vectors`, but returns the errors of inputs by their positions, where rows have no meaning."""
        vectors = np.empty((len(self._inputs), self._encoder.dimension), dtype=np.float32)
        failed = dict[int, EncodingError]()
        try:
            while self._todo or self._ready:
                self._prepare_ahead()
                batch, prepared = self._ready.popleft()
                try:
                    ready = prepared.result()
                except REFUSALS as error:
                    if len(batch) > 1:
                        self._halve(batch)
                    else:
                        failed[batch[0]] = self._refused(batch[0], error)
                    continue
                try:
                    vectors[batch] = self._encoder.finish(self._encoder.forward(ready))
                except EncodingError as error:
                    position = batch[error.index]
                    failed[position] = EncodingError(str(error), index=position)
                    if rest := [other for other in batch if other != position]:
                        self._ready.appendleft(self._prepared(rest))
                except DeviceOutOfMemory:
                    if len(batch) == 1:
                        raise
                    self._halve(batch)  # other batches that were planned at that size in turn
        finally:
            self._thread.shutdown(cancel_futures=True)
        return _checked(vectors, self._inputs, failed, unit=unit)

    def _halve(self, batch: list[int]) -> None:
        middle = len(batch) // 2
        self._ready.appendleft(self._prepared(batch[middle:]))
        self._ready.appendleft(self._prepared(batch[:middle]))

    def _refused(self, position: int, error: Exception) -> EncodingError:
        kind, message = type(self._inputs[position]).__name__, " ".join(str(error).split())
        return EncodingError(
            f"input {position} ({kind}) is refused by the model's processor ({type(error).__name__}: {message})",
            index=position,
        )

    def _prepare_ahead(self) -> None:
        while self._todo and len(self._ready) < AHEAD:
            self._ready.append(self._prepared(self._todo.popleft()))

    def _prepared(self, batch: list[int]) -> tuple[list[int], Future[Any]]:
        some = [self._inputs[i] for i in batch]
        return batch, self._thread.submit(self._encoder.prepare, some, self._view, self._side)


def _checked(
    vectors: Vectors, inputs: Sequence[Input], failed: dict[int, EncodingError], *, unit: bool
) -> tuple[Vectors, dict[int, EncodingError]]:
    vectors[list(failed)] = 1.0
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    for bad in np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0))).tolist():
        failed[bad] = EncodingError(
            f"input {bad} ({type(inputs[bad]).__name__}) got a vector of length {lengths[bad, 0]}: "
            "expected a finite, non-zero one; if the model runs in fp16, use --dtype bf16 or fp32",
            index=bad,
        )
        vectors[bad], lengths[bad] = 1.0, 1.0
    return (vectors / lengths).astype(np.float32) if unit else vectors, failed


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

        If the device runs out of memory, the inputs are halved until the one that needs too much is found.
        """
        keys = list(self.contents)
        try:
            vectors, failed = self._encoding.outcome()
        except DeviceOutOfMemory as error:
            if len(keys) == 1:
                return {}, {keys[0]: error}
            middle = len(keys) // 2
            halves = [
                embed({key: self.contents[key] for key in half}, *self._how) for half in (keys[:middle], keys[middle:])
            ]
            return halves[0][0] | halves[1][0], halves[0][1] | halves[1][1]
        good = {key: vectors[place] for place, key in enumerate(keys) if place not in failed}
        return good, {keys[place]: error for place, error in failed.items()}


def embed(
    contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY
) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
    """Embeds inputs by key. Returns and raises: as `Started.result`."""
    return Started(contents, encoder, view, side).result()
