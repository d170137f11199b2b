"""Changes of a scene, in words: "make the red circle blue"."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from research.miniature.captions import caption, cell_name, description, noun, place, wording
from research.miniature.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    TEXTURES,
    Scene,
    Split,
    Thing,
    draw,
    draw_thing,
    swapped,
)

Edited = tuple[str, Scene]
Maker = Callable[[random.Random, Scene], Edited | None]
Altered = tuple[str, Thing]
"""Ways to say it, with | between, and the thing as it is then."""


def edit(rng: random.Random, scene: Scene, *, split: Split | None = "train", unseen: bool = False) -> Edited | None:
    """An instruction and the scene that it makes.

    Args:
        split: of the scene made; None for any.
        unseen: whether a held-out pair may be made.

    Returns:
        None if a hundred tries found none.
    """
    for _ in range(100):
        maker = rng.choices(_MAKERS, _CHANCES)[0]
        made = maker(rng, scene)
        if made is None or made[1].key == scene.key:
            continue
        text, changed = made
        if (split is None or changed.split == split) and (unseen or not changed.unseen):
            return text, changed
    return None


def differing(rng: random.Random) -> tuple[Scene, Scene]:
    """A training scene and one that differs a little: half of the time only in who has what."""
    while True:
        scene = draw(rng)
        other = swapped(rng, scene, split="train") if rng.random() < 0.5 else None
        if other is None and (made := edit(rng, scene)):
            other = made[1]
        if other is not None:
            return scene, other


def triples(seed: int) -> Iterator[tuple[str, str, str]]:
    """Endless (sentence, the same in other words, a sentence of a scene that differs a little). No picture is drawn."""
    rng = random.Random(seed)
    while True:
        scene, other = differing(rng)
        yield caption(rng, scene), caption(rng, scene, full=rng.choice((1.0, 1.0, 0.5))), caption(rng, other)


def _with(scene: Scene, index: int, thing: Thing) -> Scene:
    things = list(scene.things)
    things[index] = thing
    return replace(scene, things=tuple(things))


def _pick(rng: random.Random, scene: Scene) -> tuple[int, Thing, str] | None:
    index = rng.randrange(len(scene.things))
    thing = scene.things[index]
    said = description(rng, thing, scene)
    return None if said is None else (index, thing, said)


def _other(rng: random.Random, all_: tuple[str, ...], than: str) -> str:
    return rng.choice([one for one in all_ if one != than])


def _colour(rng: random.Random, thing: Thing, said: str) -> Altered:
    colour = _other(rng, COLOURS, thing.colour)
    word = wording(rng, colour)
    verb = rng.choice(("make", "turn", "paint"))
    forms = f"{verb} the {said} {word}|{verb} the {said} {word}|change the color of the {said} to {word}"
    return forms, replace(thing, colour=colour)


def _shape(rng: random.Random, thing: Thing, said: str) -> Altered:
    shape = _other(rng, SHAPES, thing.shape)
    word = wording(rng, shape)
    forms = f"replace the {said} with a {word}|turn the {said} into a {word}|change the {said} to a {word}"
    return forms, replace(thing, shape=shape)


def _size(rng: random.Random, thing: Thing, said: str) -> Altered:
    size, more, verb = ("large", "larger", "enlarge") if thing.size == "small" else ("small", "smaller", "shrink")
    forms = f"make the {said} {more}|{verb} the {said}|make the {said} {wording(rng, size)}"
    return forms, replace(thing, size=size)


def _texture(rng: random.Random, thing: Thing, said: str) -> Altered:
    texture = _other(rng, TEXTURES, thing.texture)
    forms = f"make the {said} {wording(rng, texture)}|the {said} should be {wording(rng, texture)}"
    return forms, replace(thing, texture=texture)


def _of_one(alter: Callable[[random.Random, Thing, str], Altered]) -> Maker:
    """An edit of a scene that alters one of its things."""

    def make(rng: random.Random, scene: Scene) -> Edited | None:
        if (picked := _pick(rng, scene)) is None:
            return None
        index, thing, said = picked
        forms, altered = alter(rng, thing, said)
        return rng.choice(forms.split("|")), _with(scene, index, altered)

    return make


def _background(rng: random.Random, scene: Scene) -> Edited:
    colour = _other(rng, BACKGROUNDS, scene.background)
    word = wording(rng, colour)
    forms = f"make the background {word}|change the background to {word}|use a {word} background|{word} background"
    return rng.choice(forms.split("|")), replace(scene, background=colour)


def _remove(rng: random.Random, scene: Scene) -> Edited | None:
    if len(scene.things) < 2 or (picked := _pick(rng, scene)) is None:
        return None
    index, _, said = picked
    rest = scene.things[:index] + scene.things[index + 1 :]
    forms = f"remove the {said}|delete the {said}|take away the {said}|without the {said}"
    return rng.choice(forms.split("|")), replace(scene, things=rest)


def _free(rng: random.Random, scene: Scene) -> tuple[int, int]:
    taken = {thing.cell for thing in scene.things}
    return rng.choice([(row, column) for row in range(3) for column in range(3) if (row, column) not in taken])


def _add(rng: random.Random, scene: Scene) -> Edited | None:
    if len(scene.things) > 2:
        return None
    thing = draw_thing(rng, _free(rng, scene))
    said = f"{noun(rng, thing)} {place(rng, thing.cell)}"
    return f"{rng.choice(('add', 'put', 'with'))} {said}", replace(scene, things=(*scene.things, thing))


def _move(rng: random.Random, scene: Scene) -> Edited | None:
    if (picked := _pick(rng, scene)) is None:
        return None
    index, thing, said = picked
    cell = _free(rng, scene)
    forms = f"move the {said} to the {cell_name(cell)}|the {said} should be {place(rng, cell)}"
    return rng.choice(forms.split("|")), _with(scene, index, replace(thing, cell=cell))


_MAKERS: tuple[Maker, ...] = (
    _of_one(_colour),
    _of_one(_shape),
    _of_one(_size),
    _of_one(_texture),
    _background,
    _remove,
    _add,
    _move,
)
_CHANCES = (3, 2, 1, 1, 1.5, 1.5, 1.5, 1.5)
