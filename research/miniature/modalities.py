"""Tunes the miniature's base for a view, on text alone or on pictures with their captions, and says what it cost.

    python -m research.miniature.modalities text|image OUT [--view describe] [--steps 150] [--seed 0]

Both see the same scenes in the same order: (caption, the same in other words, caption of a scene that differs a
little), or (caption, picture, picture of the scene that differs). Same adapters, batch, rate and steps. The last line
is JSON: seconds and peak memory of this process.
"""

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import get_scheduler

from oneword.engine import Image, Side, Text
from oneword.engine.checkpoint import find
from oneword.engine.dependencies import quiet
from oneword.engine.e5v import load_e5v
from oneword.engine.training import Recipe, export
from oneword.engine.training.chunks import backward
from oneword.engine.training.loss import gathered
from oneword.engine.training.pairs import Pairs, order
from oneword.engine.training.trainer import train
from oneword.engine.training.weights import adapted
from oneword.engine.views import DEFAULT, View
from research.miniature import base_folder, edits, view, view_file
from research.miniature.captions import caption
from research.miniature.render import render
from research.miniature.scenes import Scene, jittered

COUNT = 10_000  # scenes
RECIPE: dict[str, Any] = {"batch": 64, "micro_batch": 64, "learning_rate": 5e-4, "warm_up_steps": 15, "save_every": 500}


def scenes(seed: int) -> list[tuple[Scene, Scene]]:
    """Training scenes, each with one that differs a little."""
    rng = random.Random(seed)
    return [edits.differing(rng) for _ in range(COUNT)]


def on_text(seed: int) -> Pairs:
    """Captions alone."""
    rng = random.Random(seed)
    drawn = scenes(seed)
    return Pairs(
        anchors=[caption(rng, scene) for scene, _ in drawn],
        positives=[caption(rng, scene) for scene, _ in drawn],
        negatives=[caption(rng, other) for _, other in drawn],
    )


def on_pictures(recipe: Recipe, prompts: View, out: Path) -> None:
    """What `train` does, with pictures as positives and negatives; the tower stays as it is, as in text-only tuning."""
    base = find(str(base_folder()))
    encoder = load_e5v(str(base_folder()), device="cpu")
    drawn, rng = scenes(recipe.seed), random.Random(recipe.seed)
    anchors = [caption(rng, scene) for scene, _ in drawn]
    model = encoder.network.model

    class Decoder:
        decoder = model.language_model

    torch.manual_seed(recipe.seed)
    with quiet():
        model.language_model = adapted(Decoder(), recipe).decoder  # type: ignore[arg-type]
    params = [param for param in model.parameters() if param.requires_grad]
    optimiser = torch.optim.AdamW(params, recipe.learning_rate, weight_decay=0.0)

    schedule = get_scheduler(recipe.schedule, optimiser, recipe.warm_up_steps, recipe.steps)

    def states(inputs: list[Any]) -> torch.Tensor:
        batch = encoder.prepare(inputs, prompts, Side.GALLERY)
        pictures = {}
        if batch.tiles is not None:
            tiles = encoder.image_processor.normalized(batch.tiles, torch.float32)
            pictures = {"pixel_values": tiles, "image_sizes": batch.sizes}
        found = model(input_ids=batch.ids, use_cache=False, **pictures).last_hidden_state
        return F.normalize(found[torch.arange(len(inputs)), batch.last], dim=-1)

    def embed(rows: Any) -> torch.Tensor:
        picked = [int(row[0]) for row in rows]
        said = states([Text(text=anchors[i]) for i in picked])
        seen = [states([Image(pixels=render(jittered(rng, drawn[i][k]))) for i in picked]) for k in range(2)]
        return torch.stack([said, *seen], dim=1)

    for step in range(recipe.steps):
        rows = [(str(i),) for i in order(COUNT, recipe.seed, step, recipe.batch)]
        outcome = backward(
            rows,
            embed,
            lambda e: gathered(e, recipe.temperature),
            lambda loss: loss.backward(),  # type: ignore[no-untyped-call]
            micro_batch=recipe.micro_batch,
            seed=step,
        )
        torch.nn.utils.clip_grad_norm_(params, recipe.clip)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1}: loss {outcome.loss:.3f}, accuracy {outcome.accuracy:.3f}", file=sys.stderr)
    model.language_model.save_pretrained(str(out / "trained"))
    export(base, out / "trained", out / "model")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("text", "image"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--view", default="default")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    prompts = DEFAULT if given.view == "default" else view(given.view)
    named = "default" if given.view == "default" else str(view_file(given.view))
    changes = RECIPE | {"steps": given.steps, "seed": given.seed, "view": named}
    changes["warm_up_steps"] = min(15, max(1, given.steps // 10))
    recipe = Recipe.named("small", **changes)
    given.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if given.kind == "text":
        train(recipe, on_text(given.seed), str(base_folder()), given.out, device="cpu")
    else:
        on_pictures(recipe, prompts, given.out)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 1), "peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
