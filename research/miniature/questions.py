"""Questions about a scene with short answers."""

import random

from research.miniature.captions import cell_name, description, noun, relation, wording
from research.miniature.scenes import Scene, swaps


def question(rng: random.Random, scene: Scene) -> tuple[str, str]:
    """A question and its answer."""
    thing = rng.choice(scene.things)
    said = description(rng, thing, scene)
    kind = rng.choice(
        ("colour", "shape", "where", "where", "size", "texture", "count", "background", "true", "relation")
    )
    if kind == "count" or said is None:
        return "How many things are there?", ("one", "two", "three")[len(scene.things) - 1]
    if kind == "background":
        return "What color is the background?", scene.background
    if kind == "true":
        return _true(rng, scene)
    if kind == "relation" and len(scene.things) > 1:
        other = rng.choice([one for one in scene.things if one is not thing])
        beside = description(rng, other, scene)
        if beside is not None:
            return f"The {said} is where, seen from the {beside}?", relation(rng, thing, other)
    if kind == "colour":
        alike = [one for one in scene.things if one.shape == thing.shape]
        if len(alike) == 1:
            return f"What color is the {wording(rng, thing.shape)}?", thing.colour
    if kind == "shape":
        alike = [one for one in scene.things if one.colour == thing.colour]
        if len(alike) == 1:
            return f"What shape is the {wording(rng, thing.colour)} thing?", thing.shape
    if kind == "size":
        return f"What size is the {said}?", thing.size
    if kind == "texture":
        return f"What texture has the {said}?", thing.texture
    return f"Where is the {said}?", cell_name(thing.cell)


def _true(rng: random.Random, scene: Scene) -> tuple[str, str]:
    """Whether there is a thing like this; the wrong ones mix attributes of things that are there."""
    wrong = [thing for other in swaps(scene) for thing in other.things if not thing.unseen]
    there = {thing.attributes[:4] for thing in scene.things}
    wrong = [thing for thing in wrong if thing.attributes[:4] not in there]
    if wrong and rng.random() < 0.5:
        return f"Is there {noun(rng, rng.choice(wrong))}?", "no"
    return f"Is there {noun(rng, rng.choice(scene.things))}?", "yes"
