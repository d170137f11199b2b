"""Stage 3: text alone. The base's language model learns from sentence triples, as E5-V does from NLI.

Each triple is a scene's caption, the same scene in other words, and a caption of a scene that differs a little: often
one that has all the same words, and differs in who has what. No picture is drawn.
"""

from itertools import islice
from pathlib import Path
from typing import Any

from oneword.engine.training.pairs import Pairs
from oneword.engine.training.recipe import Recipe
from oneword.engine.training.trainer import train
from research.miniature import edits

TRIPLES = 20_000
RECIPE = {"steps": 200, "batch": 64, "micro_batch": 64, "learning_rate": 2e-4, "warm_up_steps": 20, "save_every": 50}
"""Changes to the recipe "small". The rate was chosen on validation scenes, see MODEL_CARD.md."""


def triples(count: int, seed: int) -> Pairs:
    """Sentence triples of training scenes."""
    first, second, third = zip(*islice(edits.triples(seed), count), strict=True)
    return Pairs(anchors=first, positives=second, negatives=third)


def tune(base: Path, out: Path, *, seed: int = 0, count: int = TRIPLES, **changes: Any) -> Path:
    """Tunes a base; the folder of the merged checkpoint.

    Args:
        changes: to the recipe.
    """
    recipe = Recipe.named("small", **(RECIPE | {"seed": seed} | changes))
    return train(recipe, triples(count, seed), str(base), out, device="cpu")
