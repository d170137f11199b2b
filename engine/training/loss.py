"""InfoNCE over in-batch and hard negatives, on any number of processes, in any number of chunks.

Legend: b rows of the whole batch, on all processes; s sentences of a row (2 or 3); d dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of a batch.

    Args:
        loss: mean over the whole batch's anchors.
        accuracy: the share of anchors whose positive is the nearest of all.
        gradient: of the loss with respect to this process's embeddings, shaped like them.
    """

    loss: float
    accuracy: float
    gradient: Tensor


def info_nce(embeddings: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Each anchor finds its positive among all positives and all hard negatives of the batch.

    Args:
        embeddings: (b, s, d) of unit length: anchor, positive and, with s = 3, hard negative.
        temperature: cosine similarities are divided by it.

    Returns:
        The mean loss, and which anchors were right, bool (b,).
    """
    anchors = embeddings[:, 0]
    candidates = embeddings[:, 1:].transpose(0, 1).flatten(0, 1)  # all positives, then all negatives
    similarities = anchors @ candidates.T / temperature
    target = torch.arange(len(anchors), device=anchors.device)
    return F.cross_entropy(similarities, target), similarities.argmax(1) == target


def gathered(embeddings: Tensor, temperature: float) -> Outcome:
    """The whole batch's loss, and its gradient where this process can use it.

    Every process computes the same loss over everyone's embeddings, and differentiates it with respect to its own
    rows alone. A gradient so holds what the row does as anchor, as positive and as everyone's negative, and the sum
    over the processes is the gradient of the undivided batch; no gradient has to travel back through the gathering.

    Args:
        embeddings: (b / processes, s, d), detached; as many on each process.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    own = embeddings.detach().float()
    rank = torch.distributed.get_rank() if distributed else 0
    parts = [own]
    if distributed:
        parts = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, own.contiguous())
    parts[rank] = own.requires_grad_()
    with torch.enable_grad():
        loss, right = info_nce(torch.cat(parts), temperature)
        (gradient,) = torch.autograd.grad(loss, own)
    return Outcome(loss=loss.item(), accuracy=right.float().mean().item(), gradient=gradient)
