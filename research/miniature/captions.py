"""Scenes in words: captions in many wordings, short descriptions that tell one thing from the others."""

import random

from research.miniature.scenes import Scene, Thing

_SYNONYMS = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "cross": ("cross", "cross", "plus sign"),
    "diamond": ("diamond", "diamond", "rhombus"),
    "ring": ("ring", "ring", "hoop"),
    "small": ("small", "small", "little", "tiny"),
    "large": ("large", "large", "big", "huge"),
    "dotted": ("dotted", "dotted", "spotted"),
    "checked": ("checked", "checkered"),
    "purple": ("purple", "purple", "violet"),
    "gray": ("gray", "grey"),
}
_PLACES = {
    (0, 0): ("in the top left corner", "at the top left", "in the upper left"),
    (0, 1): ("at the top", "near the top", "in the top middle"),
    (0, 2): ("in the top right corner", "at the top right", "in the upper right"),
    (1, 0): ("on the left", "on the left side", "at the left edge"),
    (1, 1): ("in the center", "in the middle", "at the center"),
    (1, 2): ("on the right", "on the right side", "at the right edge"),
    (2, 0): ("in the bottom left corner", "at the bottom left", "in the lower left"),
    (2, 1): ("at the bottom", "near the bottom", "in the bottom middle"),
    (2, 2): ("in the bottom right corner", "at the bottom right", "in the lower right"),
}


def wording(rng: random.Random, word: str) -> str:
    """The word or a synonym."""
    return rng.choice(_SYNONYMS.get(word, (word,)))


def place(rng: random.Random, cell: tuple[int, int]) -> str:
    """Where a cell is."""
    return rng.choice(_PLACES[cell])


def cell_name(cell: tuple[int, int]) -> str:
    """A cell's shortest name: "top left", "top", "center"."""
    row, column = ("top", "", "bottom")[cell[0]], ("left", "", "right")[cell[1]]
    return f"{row} {column}".strip() or "center"


def noun(rng: random.Random, thing: Thing, *, full: bool = True, article: bool = True) -> str:
    """A thing with its adjectives; not `full`: some are left out, never its colour."""
    adjectives = []
    if full or rng.random() < 0.5:
        adjectives.append(wording(rng, thing.size))
    if thing.texture != "plain" and (full or rng.random() < 0.6):
        adjectives.append(wording(rng, thing.texture))
    if rng.random() < 0.2:
        rng.shuffle(adjectives)
    words = " ".join([*adjectives, wording(rng, thing.colour), wording(rng, thing.shape)])
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}" if article else words


def relation(rng: random.Random, one: Thing, other: Thing) -> str:
    """How `one` lies to `other`."""
    down, right = other.cell[0] - one.cell[0], other.cell[1] - one.cell[1]
    said: list[str] = []
    if right > 0:
        said += ["to the left of", "left of"]
    if right < 0:
        said += ["to the right of", "right of"]
    if down > 0:
        said += ["above", "over"]
    if down < 0:
        said += ["below", "under"]
    return rng.choice(said)


def caption(rng: random.Random, scene: Scene, *, full: float = 1.0) -> str:
    """A sentence that says what is in a scene.

    Args:
        full: the chance that every attribute is said: then two scenes of equal captions are equal.
    """
    everything = rng.random() < full
    things = list(scene.things)
    rng.shuffle(things)
    style = "place" if everything else rng.choice(("place", "relation", "none"))
    if style == "relation" and len(things) > 1:
        one, other, *rest = things
        said = f"{noun(rng, one, full=False)} {relation(rng, one, other)} {noun(rng, other, full=False)}"
        said += "".join(f" and {noun(rng, thing, full=False)}" for thing in rest)
    else:
        nouns = [
            noun(rng, thing, full=everything) + (f" {place(rng, thing.cell)}" if style == "place" else "")
            for thing in things
        ]
        said = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} and {nouns[-1]}"
    colour = wording(rng, scene.background)
    if everything or rng.random() < 0.4:
        if rng.random() < 0.2:
            before = rng.choice((f"on a {colour} background", f"against a {colour} backdrop"))
            return f"{before}, {rng.choice(('', 'there is '))}{said}{rng.choice(('', '.'))}"
        said += rng.choice((" ", ", ")) + rng.choice(
            (f"on a {colour} background", f"against a {colour} backdrop", f"with a {colour} background")
        )
    opening = rng.choice(("", "", "there is ", "a picture of ", "an image of ", "this shows "))
    return opening + said + rng.choice(("", "."))


def description(rng: random.Random, thing: Thing, scene: Scene) -> str | None:
    """A short description that fits this thing alone, or None: "red circle", "star", "large object"."""
    first = [("shape",), ("colour",), ("colour", "shape")]
    for names in [*rng.sample(first, 3), ("size", "colour", "shape"), ("size", "texture", "colour", "shape")]:
        alike = [other for other in scene.things if all(getattr(other, n) == getattr(thing, n) for n in names)]
        if len(alike) == 1:
            said = [getattr(thing, name) for name in names]
            words = [wording(rng, word) for word in said if word != "plain"]
            return " ".join(words if "shape" in names else [*words, rng.choice(("shape", "object"))])
    return None


def words(scene: Scene, *kinds: str) -> list[str]:
    """What one word could say of a scene: the words of every attribute, or of some kinds only.

    Args:
        kinds: of shape, colour, size, texture, place, background, count; none of them means all but the count.
    """
    wanted = set(kinds or ("shape", "colour", "size", "texture", "place", "background"))
    said = {getattr(thing, kind) for thing in scene.things for kind in wanted & {"shape", "colour", "size", "texture"}}
    if not kinds:
        said.discard("plain")
    if "place" in wanted:
        said |= {word for thing in scene.things for word in cell_name(thing.cell).split()}
    if "background" in wanted:
        said.add(scene.background)
    if "count" in wanted:
        said.add(("one", "two", "three")[len(scene.things) - 1])
    return sorted(said)
