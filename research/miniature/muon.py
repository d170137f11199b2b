"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) in fp32.

torch.optim.Muon orthogonalises in bf16, which a CPU without such instructions does a hundred times slower.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)  # of the quintic Newton-Schulz iteration, from the same source
ITERATIONS = 5
SCALE = 0.2
"""So that an update is as large as AdamW's usually are (Liu et al. 2025, arXiv 2502.16982)."""


class Muon(torch.optim.Optimizer):
    """For weight matrices only.

    Args:
        params: of two dimensions each.
        lr: as one would give AdamW.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of all parameters that have a gradient; alike shapes are orthogonalised together."""
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                average = state.setdefault("average", torch.zeros_like(param))
                average.lerp_(param.grad, 1 - group["momentum"])
                alike[param.shape].append((param, param.grad.lerp(average, group["momentum"])))
            for shape, pairs in alike.items():
                updates = orthogonal(torch.stack([update for _, update in pairs]))
                size = SCALE * max(shape) ** 0.5 * group["lr"]
                for (param, _), update in zip(pairs, updates, strict=True):
                    param.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-size)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (n, a, b) with their singular values brought near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    brought: Tensor = x.mT if tall else x
    return brought
