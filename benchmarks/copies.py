"""How near copies are found, and how quickly.

    python benchmarks/copies.py [--images 100000]

Quality: tiles of the 18 photographs of benchmarks/basic.py that show something, and the photographs themselves, each
with 12 changed copies. A pair is right where both are of one original. The settings were looked at on these changes of
these photographs and of others in scikit-image. Speed: so many images, of which a tenth are copies, in a collection;
their thumbnails are tiles of the photographs, each under colors of its own, and the time is that of `oneword
duplicates`.
The last line is JSON.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageEnhance
import PIL.ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.basic import photographs
from oneword.engine.decoded import thumbnail
from oneword.storage import Collection, Item, Store

Image = PIL.Image.Image
SPACE = {"fingerprint": "f" * 64, "dimension": 384, "model": "none", "view": "default"}
LEAST_CONTRAST = 12  # standard deviation of a tile that shows something, of 255
SIDE = 320  # pixels of a tile, enlarged


def encoded(image: Image, kind: str, quality: int) -> Image:
    """As it comes back from a file."""
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return PIL.Image.open(file).convert("RGB")


def cropped(image: Image) -> Image:
    """Without 2.5 % at each end."""
    x, y = round(image.width * 0.025), round(image.height * 0.025)
    return image.crop((x, y, image.width - x, image.height - y))


def noisy(image: Image) -> Image:
    """With noise of 10 of 255."""
    pixels = np.asarray(image, np.float64)
    pixels = pixels + np.random.default_rng(0).normal(0, 10, pixels.shape)
    return PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def marked(image: Image) -> Image:
    """With words in a corner."""
    image = image.copy()
    place, size = (image.width * 0.6, image.height * 0.85), max(8, image.height // 20)
    PIL.ImageDraw.Draw(image).text(place, "(c) somebody 2026", fill="white", font_size=size)
    return image


CHANGES: dict[str, Callable[[Image], Image]] = {
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "quarter": lambda image: image.resize((image.width // 4, image.height // 4)),
    "jpeg 30": lambda image: encoded(image, "JPEG", 30),
    "webp 40": lambda image: encoded(image, "WEBP", 40),
    "crop 5 %": cropped,
    "brightness": lambda image: PIL.ImageEnhance.Brightness(image).enhance(1.25),
    "contrast": lambda image: PIL.ImageEnhance.Contrast(image).enhance(0.75),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "saturation": lambda image: PIL.ImageEnhance.Color(image).enhance(1.6),
    "blur": lambda image: image.filter(PIL.ImageFilter.GaussianBlur(1.5)),
    "noise": noisy,
    "mark": marked,
}


def originals() -> list[Image]:
    """Tiles of the photographs, and the photographs."""
    found = []
    for photograph in photographs():
        whole = photograph.pixels
        side = max(64, min(whole.size) // 4)
        for y in range(0, whole.height - side + 1, side):
            for x in range(0, whole.width - side + 1, side):
                tile = whole.crop((x, y, x + side, y + side))
                if np.asarray(tile.convert("L")).std() > LEAST_CONTRAST:
                    found.append(tile.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))
        found.append(whole)
    return found


def item(name: str, look: bytes, width: int, height: int, vector: Any) -> Item:
    """An image by its thumbnail."""
    fields: dict[str, Any] = {"uri": f"urn:{name}", "content_hash": name, "image_hash": name, "width": width}
    return Item(id=name, modality="image", thumbnail=look, vector=vector, height=height, **fields)


def filled(folder: str, items: Iterator[Item]) -> Collection:
    """A collection, committed 5,000 at a time."""
    made = Store(folder).create("a", SPACE)
    with made.writing():
        some: list[Item] = []
        for one in items:
            some.append(one)
            if len(some) == 5000:
                made.insert(some)
                some = []
        made.insert(some)
    made.optimize()
    return made


def quality(folder: str) -> dict[str, Any]:
    """Precision of pairs over all groups, and recall of each change, of pairs with the original."""
    images, vector = originals(), np.eye(SPACE["dimension"], dtype=np.float32)[0]  # type: ignore[call-overload]

    def items() -> Iterator[Item]:
        for place, image in enumerate(images):
            for name, change in {"original": lambda image: image, **CHANGES}.items():
                changed = change(image)
                yield item(f"{place}/{name}", thumbnail(changed), *changed.size, vector)

    collection = filled(folder, items())
    group_of: dict[str, int] = {}
    right = wrong = kept = 0
    for which, group in enumerate(collection.duplicates()):
        names = [one.id for one in group.items]
        group_of |= dict.fromkeys(names, which)
        of, counts = np.unique([name.split("/")[0] for name in names], return_counts=True)
        right += int(sum(count * (count - 1) // 2 for count in counts))
        wrong += len(names) * (len(names) - 1) // 2 - int(sum(count * (count - 1) // 2 for count in counts))
        kept += len(of) == 1 and names[0].split("/")[1] not in ("half", "quarter", "crop 5 %", "blur")
    recall = {
        name: float(
            np.mean(
                [group_of.get(f"{at}/{name}", -1) == group_of.get(f"{at}/original", -2) for at in range(len(images))]
            )
        )
        for name in CHANGES
    }
    return {
        "originals": len(images),
        "precision": round(right / (right + wrong), 4),
        "recall": round(float(np.mean([*recall.values()])), 4),
        "by_change": {name: round(share, 3) for name, share in recall.items()},
        "best_kept": round(kept / len(images), 3),
    }


def speed(folder: str, count: int) -> dict[str, Any]:
    """Seconds to find the copies among so many images."""
    looks, draw = [np.asarray(image.resize((256, 256)), np.float32) for image in originals()], np.random.default_rng(1)

    def items() -> Iterator[Item]:
        for place in range(count):
            source = place if place % 10 else max(0, place - 7)  # every tenth is a copy of another
            own = np.random.default_rng(source)
            shade = PIL.Image.fromarray(own.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((256, 256))
            mixed = 0.5 * looks[source % len(looks)] + 0.5 * np.asarray(shade, np.float32)
            image = PIL.Image.fromarray(mixed.astype(np.uint8))
            look = thumbnail(image if source == place else encoded(image, "JPEG", 60))
            vector = draw.normal(size=384).astype(np.float32)
            yield item(str(place), look, 256, 256, vector / np.linalg.norm(vector))

    collection = filled(folder, items())
    seconds, groups = {}, 0
    for by in ("pixels", "meaning"):
        began = time.perf_counter()
        found = collection.duplicates(by)  # type: ignore[arg-type]
        seconds[f"{by}_s"] = round(time.perf_counter() - began, 1)
        groups = groups or len(found)
    return {"images": count, **seconds, "copies": count // 10, "groups": groups}


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    count: int = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        figures = quality(folder)
    if count:
        with tempfile.TemporaryDirectory() as folder:
            figures["speed"] = speed(folder, count)
    print(json.dumps({"benchmark": "copies", **figures}))


if __name__ == "__main__":
    main()
