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
    vectors = np.empty((len(inputs), encoder.dimension), dtype=np.float32)
    if not inputs:
        return vectors
    todo = deque(encoder.plan(inputs, view, side))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare") as thread:
        ready: deque[tuple[list[int], Future[Any]]] = deque()

        def prepare(batch: list[int]) -> tuple[list[int], Future[Any]]:
            return batch, thread.submit(encoder.prepare, [inputs[i] for i in batch], view, side)

        try:
            while todo or ready:
                while todo and len(ready) < AHEAD:
                    ready.append(prepare(todo.popleft()))
                batch, prepared = ready.popleft()
                try:
                    vectors[batch] = encoder.finish(encoder.forward(prepared.result()))
                except EncodingError as error:
                    raise EncodingError(str(error), index=batch[error.index]) from error
                except DeviceOutOfMemory:
                    if len(batch) == 1:
                        raise
                    # Halve it, and go on: what else was planned at that size will halve itself in turn.
                    middle = len(batch) // 2
                    ready.appendleft(prepare(batch[middle:]))
                    ready.appendleft(prepare(batch[:middle]))
        finally:
            for _, prepared in ready:
                prepared.cancel()
    return _checked(vectors, inputs, unit=unit)


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
