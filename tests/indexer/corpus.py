"""Inputs in any number: short texts with repetitions, long ones, pictures with copies, and broken ones."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import PIL.Image

WORDS = "red blue car cat house tree river sky night small large old new".split()


def picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(path)


def write(folder: Path, *, texts: int, long: int, pictures: int, broken: int) -> list[str]:
    """Returns the paths. Every 300th text is empty, and of every `broken` pictures one is broken."""
    draw = random.Random(1)
    with (folder / "texts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "year"])
        for number in range(texts):
            text = " ".join(draw.choices(WORDS, k=3 if number % 5 else 2))
            rows.writerow([f"t{number}", "" if number % 300 == 7 else text, number % 50])
    with (folder / "long.jsonl").open("w") as file:
        for number in range(long):
            text = ". ".join(" ".join(draw.choices(WORDS, k=20)) for _ in range(20 + number))
            file.write(json.dumps({"id": f"d{number}", "text": text, "tags": ["long"]}) + "\n")
    album = folder / "pictures"
    album.mkdir()
    for number in range(pictures):
        picture(album / f"{number}.png", number // 2)
        if number % broken == 3:
            (album / f"{number}.png").write_bytes(b"\x89PNG broken")
    return [str(folder / "texts.csv"), str(folder / "long.jsonl"), str(album)]
