"""How well `--model basic` finds real photographs by words, by a copy, and by a picture and an edit.

    python benchmarks/basic.py

18 photographs that ship inside scikit-image and scikit-learn, three captions of ours for each. The captions
stand here and were written with the pictures in view; the encoder's settings were looked at on the same
pictures. So the figures tell a change for the worse, not how the model does on yours. The last line is JSON.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oneword.engine import Composed, Image, Text, encode, load, views
from oneword.engine.images import decode_file

CAPTIONS = {
    "astronaut.png": "an astronaut in an orange space suit|a portrait of a smiling woman from NASA"
    "|a spacewoman posing with a helmet and a flag",
    "camera.png": "a man taking pictures with a camera on a tripod|a photographer in a dark coat"
    "|black and white photo of a cameraman",
    "chelsea.png": "a cat|a close-up of a tabby cat's face|my pet kitten looking at me",
    "coffee.png": "a cup of coffee|an espresso on a wooden table with a spoon|a hot drink in a small cup",
    "coins.png": "old coins|a collection of ancient Greek coins|round metal money in rows",
    "horse.png": "a horse|the silhouette of a horse|a black drawing of a stallion",
    "motorcycle_left.png": "a motorcycle|a motorbike parked in a garage|a red motorcycle in a workshop",
    "rocket.jpg": "a rocket launch|a rocket on its launch pad at night|a spaceship lifting off",
    "moon.png": "the moon|the surface of the moon with craters|a lunar landscape",
    "hubble_deep_field.jpg": "galaxies in deep space|stars and galaxies seen by a telescope|the night sky",
    "retina.jpg": "the retina of an eye|a medical picture of the inside of an eye|blood vessels in a human eye",
    "brick.png": "a brick wall|red bricks|masonry of a house",
    "grass.png": "grass|a lawn|green blades of grass",
    "gravel.png": "gravel|small stones on the ground|a heap of pebbles",
    "clock_motion.png": "a clock|a wall clock with hands|what time is it",
    "page.png": "a page of text|a scanned page of a book|printed words on paper",
    "china.jpg": "a Chinese temple|a pagoda with a curved roof|an old palace in Asia",
    "flower.jpg": "a flower|a red flower in bloom|petals of a blossom",
}
# (reference, edit, what the edited picture would be): everything that has a picture here, turned into another.
EDITS = [
    ("chelsea.png", "but a horse", "horse.png"),
    ("chelsea.png", "an astronaut instead of the cat", "astronaut.png"),
    ("coffee.png", "but a flower on the table", "flower.jpg"),
    ("coffee.png", "coins instead of a cup", "coins.png"),
    ("horse.png", "a motorcycle instead", "motorcycle_left.png"),
    ("motorcycle_left.png", "a horse instead", "horse.png"),
    ("rocket.jpg", "but a temple", "china.jpg"),
    ("china.jpg", "a rocket instead of the temple", "rocket.jpg"),
    ("flower.jpg", "a cat instead of the flower", "chelsea.png"),
    ("page.png", "a wall clock instead", "clock_motion.png"),
    ("brick.png", "but made of gravel", "gravel.png"),
    ("camera.png", "he wears a space suit", "astronaut.png"),
]

Vectors = NDArray[np.float32]


def recalls(scores: Vectors, truth: NDArray[np.int64]) -> dict[str, float]:
    """R@1, 3, 5 of the true columns; a tie counts against us."""
    own = scores[np.arange(len(scores)), truth]
    rank = (scores >= own[:, None]).sum(1)
    return {f"r@{k}": round(float(np.mean(rank <= k)), 3) for k in (1, 3, 5)}


def photographs() -> list[Image]:
    """The pictures, in the order of CAPTIONS."""
    package = {"china.jpg": "sklearn.datasets.images", "flower.jpg": "sklearn.datasets.images"}
    return [Image(pixels=decode_file(Path(str(files(package.get(name, "skimage.data")) / name)))) for name in CAPTIONS]


def copies(pixels: PIL.Image.Image) -> list[Image]:
    """What happens to pictures on their way: mirrored, cropped, shrunk, darkened."""
    width, height = pixels.size
    return [
        Image(pixels=PIL.ImageOps.mirror(pixels)),
        Image(pixels=pixels.crop((width // 8, height // 8, width * 7 // 8, height * 7 // 8))),
        Image(pixels=pixels.resize((max(1, width // 3), max(1, height // 3)))),
        Image(pixels=PIL.ImageEnhance.Brightness(pixels).enhance(0.6)),
    ]


def main() -> None:
    """Prints a table and one JSON line."""
    encoder = load("basic")
    names, images = list(CAPTIONS), photographs()
    gallery = encode(encoder, images, views.DEFAULT)
    texts = [Text(text=text) for said in CAPTIONS.values() for text in said.split("|")]
    truth = np.repeat(np.arange(len(names)), 3)
    words = encode(encoder, texts, views.DEFAULT)
    changed = [copy for image in images for copy in copies(image.pixels)]
    edits = [Composed(image=images[names.index(name)], edit=edit) for name, edit, _ in EDITS]
    wanted = np.array([names.index(name) for _, _, name in EDITS])
    reference = np.array([names.index(name) for name, _, _ in EDITS])
    rows = np.arange(len(EDITS))
    composed = encode(encoder, edits, views.DEFAULT) @ gallery.T
    composed[rows, reference] = -np.inf  # CIRR's protocol
    unedited = gallery[reference] @ gallery.T
    unedited[rows, reference] = -np.inf
    figures = {
        "text_to_image": recalls(words @ gallery.T, truth),
        "changed_copy_to_image": recalls(
            encode(encoder, changed, views.DEFAULT) @ gallery.T, np.repeat(np.arange(len(names)), 4)
        ),
        "composed": recalls(composed, wanted),
        "composed_without_the_edit": recalls(unedited, wanted),
    }
    for task, figure in figures.items():
        print(f"{task:28}" + "".join(f"{name:>6} {value:.2f}" for name, value in figure.items()))
    print(json.dumps({"benchmark": "basic", "pictures": len(names), "captions": len(texts), **figures}))


if __name__ == "__main__":
    main()
