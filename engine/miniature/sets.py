"""Scenes as data sets: what the evaluation tasks read, drawn instead of loaded."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from engine.evaluation.captioned import Captioned
from engine.evaluation.cirr import Cirr, Entry
from engine.evaluation.sts import Rated
from engine.inputs import Image
from engine.miniature.captions import caption
from engine.miniature.edits import edit
from engine.miniature.render import render
from engine.miniature.scenes import COLOURS, SHAPES, Scene, Split, draw, jittered, swapped

MEMBERS = 6  # of a set of pictures alike, the reference among them, as in CIRR


def picture(scene: Scene) -> Callable[[], Image]:
    """Draws a scene, when called."""
    return lambda: Image(pixels=render(scene))


def scenes(count: int, seed: int, split: Split = "test", *, unseen: bool = False) -> list[Scene]:
    """Different ones, each drawn in its own way."""
    rng = random.Random(f"{split} {seed} {unseen}")
    found: dict[str, Scene] = {}
    while len(found) < count:
        scene = draw(rng, split, unseen=unseen)
        found.setdefault(scene.key, jittered(rng, scene))
    return list(found.values())


def captioned(count: int, seed: int, split: Split = "test", *, unseen: bool = False) -> Captioned:
    """Pictures, each with one caption that says everything."""
    rng = random.Random(f"captions {split} {seed}")
    drawn = scenes(count, seed, split, unseen=unseen)
    said = [[caption(rng, scene)] for scene in drawn]
    return Captioned(pictures=[picture(scene) for scene in drawn], captions=said, name="scenes")


def composed(count: int, seed: int, split: Split = "test") -> Cirr:
    """Changes in CIRR's form: each query has a set of six alike, its reference and five changes of it, one the target.

    The gallery is all sets together.
    """
    rng = random.Random(f"composed {split} {seed}")
    names: list[str] = []
    pictures: list[Callable[[], Image]] = []
    entries: list[Entry] = []
    for number, reference in enumerate(scenes(count, seed, split)):
        made: dict[str, tuple[str, Scene]] = {}
        while len(made) < MEMBERS - 1:
            found = edit(rng, reference, split=None)
            if found and found[1].key != reference.key:
                made.setdefault(found[1].key, found)
        first = len(names)
        for member in (reference, *(scene for _, scene in made.values())):
            names.append(f"{number}-{len(names) - first}")
            pictures.append(picture(jittered(rng, member)))
        said = next(iter(made.values()))[0]
        entries.append(
            Entry(
                pair=number,
                reference=first,
                target=first + 1,
                subset=tuple(range(first, first + MEMBERS)),
                caption=said,
            )
        )
    return Cirr(names=names, pictures=pictures, entries=entries)


def swaps(count: int, seed: int, split: Split = "test") -> list[tuple[str, Scene, Scene]]:
    """(caption, its scene, the scene with one attribute exchanged between two things): the same words fit both."""
    rng = random.Random(f"swaps {split} {seed}")
    found: list[tuple[str, Scene, Scene]] = []
    while len(found) < count:
        scene = draw(rng, split)
        other = swapped(rng, scene)
        if other is not None:
            found.append((caption(rng, scene), jittered(rng, scene), jittered(rng, other)))
    return found


def rated(count: int, seed: int, split: Split = "test") -> dict[str, Rated]:
    """Pairs of sentences: the same scene in other words (5), one to three changes apart (4 to 2), unrelated (0)."""
    rng = random.Random(f"rated {split} {seed}")
    first: list[str] = []
    second: list[str] = []
    scores: list[float] = []
    while len(first) < count:
        scene = draw(rng, split)
        score = rng.choice((5, 4, 3, 2, 0))
        other = draw(rng, split) if score == 0 else scene
        for _ in range(5 - score if score else 0):
            made = edit(rng, other, split=None)
            other = made[1] if made else other
        if (other.key == scene.key) == (score == 5):
            first.append(caption(rng, scene))
            second.append(caption(rng, other))
            scores.append(float(score))
    return {"scenes": Rated(first=first, second=second, scores=scores)}


def redrawn(scene: Scene, seed: int) -> Scene:
    """The same attributes, drawn in another way."""
    return jittered(random.Random(f"redrawn {seed} {scene.key}"), scene)


def altered(rng: random.Random, scene: Scene, kind: Literal["shape", "colour"]) -> Scene:
    """The scene with all its things' shapes, or all their colours, changed to ones that it does not have."""
    every = {"shape": SHAPES, "colour": COLOURS}[kind]
    free = [value for value in every if value not in {getattr(thing, kind) for thing in scene.things}]
    fresh = rng.sample(free, len(scene.things))
    things = [
        replace(thing, shape=value) if kind == "shape" else replace(thing, colour=value)
        for thing, value in zip(scene.things, fresh, strict=True)
    ]
    return jittered(rng, replace(scene, things=tuple(things)))
