"""Scenes as data sets: what the evaluation tasks read, drawn instead of loaded."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Literal

from oneword.engine.evaluation.captioned import Captioned
from oneword.engine.evaluation.cirr import Cirr, Entry
from oneword.engine.evaluation.sts import Rated
from oneword.engine.inputs import Image
from research.miniature.captions import caption
from research.miniature.edits import edit
from research.miniature.render import render
from research.miniature.scenes import COLOURS, SHAPES, Scene, Split, draw, jittered, swapped

MEMBERS = 6  # of a set of pictures alike, the reference among them, as in CIRR


def picture(scene: Scene) -> Callable[[], Image]:
    """Draws a scene, when called."""
    return lambda: Image(pixels=render(scene))


def scenes(count: int, seed: int, split: Split = "test", *, unseen: bool = False) -> list[Scene]:
    """Different ones, each drawn in its own way."""
    return list(islice(different(seed, split, unseen=unseen), count))


def different(seed: int, split: Split, *, unseen: bool = False) -> Iterator[Scene]:
    """The same without end."""
    rng = random.Random(f"{split} {seed} {unseen}")
    known: set[str] = set()
    while True:
        scene = draw(rng, split, unseen=unseen)
        if scene.key not in known:
            known.add(scene.key)
            yield jittered(rng, scene)


def captioned(count: int, seed: int, split: Split = "test", *, unseen: bool = False) -> Captioned:
    """Pictures, each with one caption that says everything."""
    rng = random.Random(f"captions {split} {seed}")
    drawn = scenes(count, seed, split, unseen=unseen)
    said = [[caption(rng, scene)] for scene in drawn]
    return Captioned(images=[picture(scene) for scene in drawn], captions=said, name="scenes")


def composed(count: int, seed: int, split: Split = "test") -> Cirr:
    """Changes in CIRR's form: each query has a set of six alike, its reference and five changes of it, one the target.

    The gallery is all sets together.
    """
    rng = random.Random(f"composed {split} {seed}")
    names: list[str] = []
    pictures: list[Callable[[], Image]] = []
    entries: list[Entry] = []
    for reference in different(seed, split):
        if len(entries) == count:
            break
        made = _changes(rng, reference, split)
        if len(made) < MEMBERS - 1:
            continue
        number = len(entries)
        first = len(names)
        for member in (reference, *(scene for _, scene in made)):
            names.append(f"{number}-{len(names) - first}")
            pictures.append(picture(jittered(rng, member)))
        entries.append(
            Entry(
                pair=number,
                reference=first,
                target=first + 1,
                subset=tuple(range(first, first + MEMBERS)),
                caption=made[0][0],
            )
        )
    return Cirr(names=names, images=pictures, entries=entries)


def _changes(rng: random.Random, reference: Scene, split: Split) -> list[tuple[str, Scene]]:
    """Five different changes of the reference that stay in the split, or fewer if thirty tries gave no more."""
    made: dict[str, tuple[str, Scene]] = {}
    for _ in range(30):
        found = edit(rng, reference, split=split)
        if found and len(made) < MEMBERS - 1:
            made.setdefault(found[1].key, found)
    return list(made.values())


def swaps(count: int, seed: int, split: Split = "test") -> list[tuple[str, Scene, Scene]]:
    """(caption, its scene, the scene with one attribute exchanged between two things): the same words fit both."""
    rng = random.Random(f"swaps {split} {seed}")
    found: list[tuple[str, Scene, Scene]] = []
    while len(found) < count:
        scene = draw(rng, split)
        other = swapped(rng, scene, split=split)
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
            made = edit(rng, other, split=split)
            other = made[1] if made else other
        if (other.key == scene.key) == (score == 5):
            first.append(caption(rng, scene))
            second.append(caption(rng, other))
            scores.append(float(score))
    return {"scenes": Rated(first=first, second=second, scores=scores)}


def redrawn(scene: Scene, seed: int) -> Scene:
    """The same attributes, drawn in another way."""
    return jittered(random.Random(f"redrawn {seed} {scene.key}"), scene)


def altered(rng: random.Random, scene: Scene, kind: Literal["shape", "colour"], split: Split) -> Scene | None:
    """The scene with all its things' shapes, or all their colours, changed to ones that it does not have.

    None if a hundred tries found none that stays in the split.
    """
    every = {"shape": SHAPES, "colour": COLOURS}[kind]
    free = [value for value in every if value not in {getattr(thing, kind) for thing in scene.things}]
    for _ in range(100):
        things = tuple(
            replace(thing, shape=value) if kind == "shape" else replace(thing, colour=value)
            for thing, value in zip(scene.things, rng.sample(free, len(scene.things)), strict=True)
        )
        made = replace(scene, things=things)
        if made.split == split:
            return jittered(rng, made)
    return None
