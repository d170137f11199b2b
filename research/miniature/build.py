"""Builds the miniature from nothing: `python -m research.miniature.build OUT`.

Three stages, each of which goes on from its last checkpoint if it was killed: the tower learns to see (`vision.py`),
the language model to read and to answer (`language.py`): that is the base. Then text alone tunes it (`tuning.py`).
"""

import argparse
import logging
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from research.miniature import language, vision
from research.miniature.checkpoint import make, save
from research.miniature.scenes import Scene, draw, jittered, swapped
from research.miniature.stage import Plan
from research.miniature.tuning import tune

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done: scenes with pictures, the first two stages' plans, and changes to the third one's recipe."""

    pictures: int
    vision: Plan
    language: Plan
    tuning: Mapping[str, Any] = field(default_factory=dict)


FULL = Size(pictures=60_000, vision=Plan(steps=4000, save=500), language=Plan(steps=1600))
QUICK = Size(
    pictures=256,
    vision=Plan(steps=8, save=4),
    language=Plan(steps=4, save=2),
    tuning={"count": 64, "steps": 2, "warm_up_steps": 1, "batch": 8},
)


def scenes(count: int, seed: int) -> list[Scene]:
    """Scenes that training draws; each third one repeats the one before it with two attributes exchanged."""
    rng = random.Random(seed)
    drawn: list[Scene] = []
    while len(drawn) < count:
        twin = swapped(rng, drawn[-1], split="train") if len(drawn) % 3 == 2 else None
        drawn.append(jittered(rng, twin or draw(rng)))
    return drawn


def build(out: Path, *, seed: int = 0, size: Size = FULL) -> Path:
    """Makes `out`/base and, tuned on text alone, `out`/tuned/model; the latter's folder."""
    base = out / "base"
    if not (base / "model.safetensors").exists():
        out.mkdir(parents=True, exist_ok=True)
        _base(out, base, seed, size)
    return tune(base, out / "tuned", seed=seed, **size.tuning)


def _base(out: Path, done: Path, seed: int, size: Size) -> None:
    network, tokenizer, processor = make(seed)
    seen = scenes(size.pictures, seed)
    pixels = vision.pictures(seen)
    right = vision.train(network, processor, pixels, plan=size.vision, seed=seed, file=out / "vision.pt")
    _log.info("vision: right on validation: %s", ", ".join(f"{name} {share:.3f}" for name, share in right.items()))
    features = vision.all_features(network.model.vision_tower, processor, pixels.pixels)
    language.train(network, tokenizer, seen, features, plan=size.language, seed=seed, file=out / "language.pt")
    save(done, network, tokenizer, processor, half=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m research.miniature.build", description=__doc__)
    parser.add_argument("out", type=Path, help="a folder; it may hold checkpoints of an earlier, unfinished run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that it runs")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.use_deterministic_algorithms(True)
    build(given.out, seed=given.seed, size=QUICK if given.quick else FULL)


if __name__ == "__main__":
    main()
