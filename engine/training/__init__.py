"""Training on text alone: the language model of a LLaVA-NeXT checkpoint learns, its eyes are not even loaded.

Sentences that mean the same are pulled together, others pushed apart (InfoNCE), in the very prompt that embeds them
later. What is learned so on sentences carries over to images, because both are said in one word: E5-V's finding
(arXiv 2407.12580).

`oneword train` is the command; in Python: `train(Recipe.named("small"), "pairs.csv", "base-folder", "out")`.
Needs the extra `oneword[train]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine.training.merge import export
    from oneword.engine.training.recipe import Recipe
    from oneword.engine.training.trainer import train

__all__ = ["Recipe", "export", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oneword.engine.training' has no attribute {name!r}")
    from oneword.engine.dependencies import require

    require("torch", "transformers", "accelerate", "peft", "tensorboard", what="training", extra="train")
    module = {"Recipe": "recipe", "export": "merge", "train": "trainer"}[name]
    return getattr(import_module(f"oneword.engine.training.{module}"), name)
