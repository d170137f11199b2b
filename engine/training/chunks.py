"""Gradient caching: a batch of any size through a model that holds only a few rows at once (arXiv 2101.06983).

The loss needs all embeddings together, the model's activations need not exist together. So all chunks are embedded
without keeping anything, the loss gives each embedding its gradient, and each chunk is then embedded again and handed
its part. Dropout falls the same way both times.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from oneword.engine.training.loss import Outcome

Embed = Callable[[Sequence[tuple[str, ...]]], Tensor]
"""Rows of s sentences to (n, s, d), of unit length."""


def backward(
    rows: Sequence[tuple[str, ...]],
    embed: Embed,
    loss: Callable[[Tensor], Outcome],
    propagate: Callable[[Tensor], None],
    *,
    micro_batch: int,
    seed: int,
    unsynchronised: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Outcome:
    """Leaves the batch's gradient in the parameters.

    Args:
        rows: this process's.
        embed: the model.
        loss: of this process's embeddings.
        propagate: calls backward on what it is given.
        micro_batch: rows that are embedded at once.
        seed: of dropout, for this step and process; below 2**32.
        unsynchronised: a context in which processes do not exchange gradients; all chunks but the last are in it.
    """
    chunks = [rows[start : start + micro_batch] for start in range(0, len(rows), micro_batch)]

    def embedded(number: int) -> Tensor:
        torch.manual_seed(seed * 2**20 + number)  # also CUDA's generators
        return embed(chunks[number])

    if len(chunks) == 1:  # nothing to embed twice
        kept = embedded(0)
        outcome = loss(kept.detach())
        propagate((kept * outcome.gradient).sum())
        return outcome
    with torch.no_grad():
        outcome = loss(torch.cat([embedded(number) for number in range(len(chunks))]))
    parts = torch.split(outcome.gradient, micro_batch)
    for number, part in enumerate(parts):
        with nullcontext() if number == len(chunks) - 1 else unsynchronised():
            propagate((embedded(number) * part).sum())
    return outcome
