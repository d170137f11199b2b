"""Stage 1: the vision tower learns to see, patch by patch.

Each patch is told which thing covers it, with all its attributes and its cell; all patches together which words the
scene has. What a patch knows of positions the language model can read later, and nothing else can teach it that.

Legend: n scenes, p patches, k answers to one question.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.miniature import captions
from research.miniature.checkpoint import GRID, PATCH
from research.miniature.render import centre, render
from research.miniature.scenes import BACKGROUNDS, COLOURS, SHAPES, SIZES, TEXTURES, Scene, draw
from research.miniature.stage import Plan, run

CELLS = 9
QUESTIONS = {"shape": len(SHAPES) + 1, "colour": len(COLOURS), "size": 2, "texture": len(TEXTURES), "cell": CELLS}
"""Of each patch, with the number of answers; shape 0 is not a thing."""
REACH = 11.0  # pixels from a thing's centre to the centre of a patch that shows it
IGNORE = -100
WORDS = (*SHAPES, *COLOURS, *SIZES, *TEXTURES[1:], "top", "bottom", "left", "right", "center", *BACKGROUNDS)
BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Scenes, drawn and labelled.

    Args:
        pixels: uint8 (n, 3, side, side).
        patches: int64 (n, p, 5), the answers to QUESTIONS.
        backgrounds: int64 (n,).
        words: float32 (n, words), 1 where a scene has the word.
    """

    pixels: Tensor
    patches: Tensor
    backgrounds: Tensor
    words: Tensor


def pictures(scenes: Sequence[Scene]) -> Pictures:
    """Draws and labels."""
    count = len(scenes)
    pixels = np.stack([np.asarray(render(scene)) for scene in scenes])
    patches = np.full((count, GRID * GRID, len(QUESTIONS)), IGNORE, dtype=np.int64)
    patches[:, :, 0] = 0
    words = np.zeros((count, len(WORDS)), dtype=np.float32)
    middles = PATCH * (np.arange(GRID) + 0.5)
    for row, scene in enumerate(scenes):
        nearest = np.full((GRID, GRID), REACH)
        for thing in scene.things:
            x, y = centre(thing)
            away = np.hypot(middles[None, :] - x, middles[:, None] - y)
            shows = (away < nearest) | (away == away.min())  # a thing has its nearest patch in any case
            nearest = np.where(shows, away, nearest)
            answers = (
                1 + SHAPES.index(thing.shape),
                COLOURS.index(thing.colour),
                SIZES.index(thing.size),
                TEXTURES.index(thing.texture),
                3 * thing.cell[0] + thing.cell[1],
            )
            patches[row, shows.ravel()] = answers
        said = captions.words(scene)
        words[row, [WORDS.index(word) for word in said if word in WORDS]] = 1
    return Pictures(
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        patches=torch.from_numpy(patches),
        backgrounds=torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
        words=torch.from_numpy(words),
    )


def normalized(pixels: Tensor, processor: Any) -> Tensor:
    """uint8 (n, 3, side, side) as the tower takes it, equal to what the processor makes of a 64 x 64 picture."""
    mean, deviation = (torch.tensor(value).view(1, 3, 1, 1) for value in (processor.image_mean, processor.image_std))
    return (pixels.float() / 255 - mean) / deviation


def features(tower: Any, pixels: Tensor) -> Tensor:
    """float32 (n, p, d): the patches' states that LLaVA-NeXT reads."""
    states: Tensor = tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    return states


class Heads(nn.Module):
    """The questions' answers from the tower's states; thrown away after the stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch = nn.Linear(width, sum(QUESTIONS.values()))
        self.background = nn.Linear(width, len(BACKGROUNDS))
        self.words = nn.Linear(width, len(WORDS))

    def loss(self, states: Tensor, known: Pictures) -> Tensor:
        """Mean cross entropies, added up."""
        answers = self.patch(states).split(list(QUESTIONS.values()), dim=-1)
        each = [
            F.cross_entropy(answer.flatten(0, 1), known.patches[..., i].flatten(), ignore_index=IGNORE)
            for i, answer in enumerate(answers)
        ]
        mean = states.mean(1)
        background = F.cross_entropy(self.background(mean), known.backgrounds)
        words = F.binary_cross_entropy_with_logits(self.words(mean), known.words)
        return torch.stack(each).sum() + background + 2 * words


def train(network: Any, processor: Any, known: Pictures, *, plan: Plan, seed: int, file: Path) -> dict[str, float]:
    """Trains the tower in place; the share of right answers on validation scenes afterwards.

    Args:
        file: of the checkpoint to go on from.
    """
    torch.manual_seed(seed)
    tower = network.model.vision_tower
    heads = Heads(tower.config.hidden_size)
    params = dict(tower.named_parameters()) | {f"heads.{name}": param for name, param in heads.named_parameters()}

    def losses(step: int) -> dict[str, Tensor]:
        rows = torch.randint(0, len(known.pixels), (BATCH,), generator=torch.Generator().manual_seed(seed + step))
        some = Pictures(**{name: values[rows] for name, values in vars(known).items()})
        return {"loss": heads.loss(features(tower, normalized(some.pixels, processor)), some)}

    run("vision", params, losses, plan, file)
    return accuracy(tower, heads, processor, seed)


@torch.no_grad()
def accuracy(tower: Any, heads: Heads, processor: Any, seed: int) -> dict[str, float]:
    """Share of right answers on validation scenes."""
    rng = random.Random(seed)
    known = pictures([draw(rng, "validation") for _ in range(500)])
    answers = heads.patch(features(tower, normalized(known.pixels, processor))).split(list(QUESTIONS.values()), -1)
    right = {}
    for i, (name, answer) in enumerate(zip(QUESTIONS, answers, strict=True)):
        truth = known.patches[..., i]
        asked = truth > 0 if name == "shape" else truth >= 0
        right[name] = float((answer.argmax(-1)[asked] == truth[asked]).float().mean())
    return right


@torch.no_grad()
def all_features(tower: Any, processor: Any, pixels: Tensor) -> Tensor:
    """fp16 (n, p, d) of uint8 (n, 3, side, side)."""
    return torch.cat([features(tower, normalized(some, processor)).half() for some in torch.split(pixels, 512)])
