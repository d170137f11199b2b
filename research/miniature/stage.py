"""The loop that the stages of building run: Muon for matrices, AdamW for the rest, checkpoints to go on from.

What a step sees depends on its number alone, so a run that was killed goes on as if nothing had happened.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from research.miniature.muon import Muon

_log = logging.getLogger(__name__)

CLIP = 1.0  # the gradient's norm at most


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast.

    Args:
        steps: in all.
        rate: the highest learning rate, of Muon; AdamW's is half of it.
        warm_up: steps until it is reached.
        hold: the share of the steps after which it falls, in a line, to 2 % of itself.
        save: steps from one checkpoint to the next.
    """

    steps: int
    rate: float = 4e-3
    warm_up: int = 50
    hold: float = 0.35
    save: int = 200

    def scale(self, step: int) -> float:
        """Of the learning rate at a step, counted from 0."""
        falling = (1 - step / self.steps) / (1 - self.hold)
        return min(1.0, (step + 1) / self.warm_up, max(0.02, falling))


def run(
    name: str, params: Mapping[str, Tensor], losses: Callable[[int], Mapping[str, Tensor]], plan: Plan, file: Path
) -> None:
    """Trains `params` in place, from the checkpoint in `file` if there is one.

    Args:
        name: of the stage, for the log.
        params: by name; matrices of layers are Muon's.
        losses: of a step's batch; "loss" is the one to lower, the others are for the log.
    """
    matrices = [param for key, param in params.items() if param.ndim == 2 and "layers" in key]
    others = [param for key, param in params.items() if not (param.ndim == 2 and "layers" in key)]
    optimisers = [
        Muon(matrices, plan.rate, weight_decay=0.02),
        torch.optim.AdamW(others, plan.rate / 2, betas=(0.9, 0.98), weight_decay=0.01),
    ]
    rates = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    recent: defaultdict[str, float] = defaultdict(float)
    for step in range(_restored(file, params, optimisers), plan.steps):
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * plan.scale(step)
        told = losses(step)
        told["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(params.values()), CLIP)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        for key, value in told.items():
            recent[key] += 0.02 * value.item()
        if (step + 1) % 50 == 0:
            said = ", ".join(f"{key} {value:.3f}" for key, value in recent.items())
            _log.info("%s: step %d of %d, %s", name, step + 1, plan.steps, said)
            recent.clear()
        if (step + 1) % plan.save == 0 or step + 1 == plan.steps:
            _store(file, params, optimisers, step + 1)


def _store(file: Path, params: Mapping[str, Tensor], optimisers: list[torch.optim.Optimizer], step: int) -> None:
    state = {"step": step, "params": dict(params), "optimisers": [one.state_dict() for one in optimisers]}
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)


def _restored(file: Path, params: Mapping[str, Tensor], optimisers: list[torch.optim.Optimizer]) -> int:
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    with torch.no_grad():
        for key, param in params.items():
            param.copy_(state["params"][key])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])
