"""Runs an encoder over inputs: plans batches, overlaps their preparation with the forward pass, checks."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.errors import DeviceOutOfMemory, EncodingError
from oneword.engine.inputs import Input
from oneword.engine.views import View

AHEAD = 2  # batches prepared ahead of the device: one in hand, one on the way


def encode(
    encoder: Encoder, inputs: Sequence[Input], view: View, side: Side = Side.GALLERY, *, unit: bool = True
) -> Vectors:
    """Embeds inputs.

    An embedding depends on the input, the view, the side and the model alone; batches are a matter of speed.

    Args:
        unit: scale each vector to unit length; else leave it as long as the model made it.

    Returns:
        float32 (len(inputs), d), each row finite and, unless told otherwise, of unit length, in the inputs' order.

    Raises:
        EncodingError: the model gave no vector, or one that is not finite or is zero; `index` says for which input.
        DeviceOutOfMemory: not even one input alone fits the device.
        ViewError: the model cannot follow this view.
    """
    return Encoding(encoder, inputs, view, side).vectors(unit=unit)


class Encoding:
    """Inputs on their way: the first batches are being prepared before anybody waits for vectors.

    So one of these can be begun while another one's batches keep the device busy.

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
        """Whether the device has the last batch, or none: from any thread, and about right."""
        return not self._todo and not self._ready

    def vectors(self, *, unit: bool = True) -> Vectors:
        """Runs the model over all batches; once. Args, returns and raises: as `encode`."""
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
                    # Halve it, and go on: what else was planned at that size will halve itself in turn.
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
