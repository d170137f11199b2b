"""Draws the demo's scenes: one to ask about, the one that is meant, changes that are not, and fifty others.

python -m research.miniature.demo FOLDER
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

from research.miniature import sets
from research.miniature.edits import edit
from research.miniature.render import render
from research.miniature.scenes import Scene, Thing, jittered

REFERENCE = Scene(
    things=(
        Thing(shape="circle", colour="red", size="large", texture="plain", cell=(0, 0)),
        Thing(shape="star", colour="yellow", size="large", texture="striped", cell=(1, 2)),
    ),
    background="white",
)


def main(folder: Path) -> None:
    """Draws; a second run draws the same."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    circle, star = REFERENCE.things
    drawn = [REFERENCE, replace(REFERENCE, things=(replace(circle, colour="blue"), star))]
    while len(drawn) < 10:
        made = edit(rng, REFERENCE, split=None)
        if made and made[1].key not in {scene.key for scene in drawn}:
            drawn.append(made[1])
    drawn += sets.scenes(50, seed=0)
    for scene in drawn:
        render(jittered(rng, scene)).save(folder / f"{_name(scene)}.png")


def _name(scene: Scene) -> str:
    """What is in it: nobody but people who look at the folder reads it."""
    things = ["-".join((*thing.attributes[:4], f"{thing.cell[0]}{thing.cell[1]}")) for thing in scene.things]
    return "_".join((scene.background, *sorted(things))).replace("-plain", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
