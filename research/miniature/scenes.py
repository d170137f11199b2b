"""Drawn scenes: what is in them, and which of them training may see.

A scene is a background and one to three things, each in its own cell of a 3 x 3 grid. Its attributes hash into a
split, so that no scene of validation or test, however it is drawn or worded, shares its attributes with one
that training sees. Some pairs of colour and shape are held out of training altogether.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "heart")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "pink", "cyan")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted", "checked")
BACKGROUNDS = ("white", "black", "gray", "brown", "navy")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
HELD_OUT = frozenset(zip(COLOURS, SHAPES[3:] + SHAPES[:3], strict=True))
"""Pairs of colour and shape that training neither sees nor reads of; each colour and each shape is in one."""

Split = Literal["train", "validation", "test"]
_BUCKETS: dict[int, Split] = {0: "test", 1: "validation"}
BUCKETS = 10  # of which one is test and one validation


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One drawn thing.

    Args:
        cell: (row, column), each 0 to 2.
        shift: of its centre from the cell's, in 64ths of the picture's side.
        turn: in degrees.
        stretch: of its size.
    """

    shape: str
    colour: str
    size: str
    texture: str
    cell: tuple[int, int]
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    stretch: float = 1.0

    @property
    def attributes(self) -> tuple[str, str, str, str, tuple[int, int]]:
        """All that words can say of it."""
        return self.shape, self.colour, self.size, self.texture, self.cell

    @property
    def unseen(self) -> bool:
        """Whether training never meets its colour in its shape."""
        return (self.colour, self.shape) in HELD_OUT


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Things on a background; `shade` is added to the background's brightness, in 255ths."""

    things: tuple[Thing, ...]
    background: str
    shade: int = 0

    @property
    def key(self) -> str:
        """The attributes, in a form that does not depend on order or on how it is drawn."""
        return repr((self.background, sorted(thing.attributes for thing in self.things)))

    @property
    def unseen(self) -> bool:
        """Whether a held-out pair is in it."""
        return any(thing.unseen for thing in self.things)

    @property
    def split(self) -> Split:
        """Where it belongs. A scene with a held-out pair is never in training."""
        digest = hashlib.sha256(self.key.encode()).digest()
        split = _BUCKETS.get(digest[0] % BUCKETS, "train")
        return "validation" if self.unseen and split == "train" else split


def draw(rng: random.Random, split: Split = "train", *, unseen: bool = False) -> Scene:
    """A random scene of a split; `unseen` ones have a held-out pair in them, others have none."""
    if unseen and split == "train":
        raise ValueError("training has no held-out pairs: expected split 'validation' or 'test'")
    while True:
        count = rng.choices((1, 2, 3), (0.3, 0.55, 0.15))[0]
        cells = rng.sample([(row, column) for row in range(3) for column in range(3)], count)
        things = [draw_thing(rng, cell) for cell in cells]
        if unseen:
            colour, shape = rng.choice(sorted(HELD_OUT))
            things[0] = replace(things[0], colour=colour, shape=shape)
        scene = Scene(things=tuple(things), background=rng.choice(BACKGROUNDS), shade=rng.randint(-10, 10))
        if scene.unseen == unseen and scene.split == split:
            return scene


def draw_thing(rng: random.Random, cell: tuple[int, int]) -> Thing:
    """A random thing in a cell."""
    return jittered_thing(
        rng,
        Thing(
            shape=rng.choice(SHAPES),
            colour=rng.choice(COLOURS),
            size=rng.choice(SIZES),
            texture=rng.choices(TEXTURES, (0.49, 0.17, 0.17, 0.17))[0],
            cell=cell,
        ),
    )


def jittered_thing(rng: random.Random, thing: Thing) -> Thing:
    """The same attributes, drawn a little differently."""
    return replace(
        thing,
        shift=(rng.uniform(-2, 2), rng.uniform(-2, 2)),
        turn=rng.uniform(-12, 12),
        stretch=rng.uniform(0.9, 1.08),
    )


def jittered(rng: random.Random, scene: Scene) -> Scene:
    """The same attributes, drawn a little differently."""
    things = tuple(jittered_thing(rng, thing) for thing in scene.things)
    return replace(scene, things=things, shade=rng.randint(-10, 10))


def swaps(scene: Scene) -> Iterator[Scene]:
    """Scenes of the same words in which two things have exchanged one attribute: what tells who has what."""
    for i, j in permutations(range(len(scene.things)), 2):
        if i < j:
            for name in ("shape", "colour", "size", "texture"):
                one, other = scene.things[i], scene.things[j]
                mine, yours = getattr(one, name), getattr(other, name)
                things = list(scene.things)
                things[i], things[j] = replace(one, **{name: yours}), replace(other, **{name: mine})
                swapped = replace(scene, things=tuple(things))
                if swapped.key != scene.key:
                    yield swapped


def swapped(rng: random.Random, scene: Scene, *, split: Split | None = None) -> Scene | None:
    """One of the `swaps`, of a split if one is given and without held-out pairs that the scene lacks; or None."""
    found = [other for other in swaps(scene) if split in (None, other.split) and {*_unseen(other)} <= {*_unseen(scene)}]
    return rng.choice(found) if found else None


def _unseen(scene: Scene) -> list[tuple[str, str]]:
    return [(thing.colour, thing.shape) for thing in scene.things if thing.unseen]
