"""Inputs drawn at random, and what it takes to embed them: for gpu.py."""

import io
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine import Composed, Document, Image, Input, Text
from oneword.engine.encoder import Tiler
from oneword.engine.inputs import Tiled
from tests.tiny import sentences


def kinds() -> list[Input]:
    """A few inputs of each kind; images of several shapes, one of them a strip."""
    shapes = [(336, 336), (640, 480), (480, 640), (500, 333), (800, 200)]
    drawn = [one for shape in shapes for one in images(1, shape)]
    written: list[Input] = [Text(text=one) for one in sentences(4, seed=1)]
    first = drawn[0]
    return [*written, *drawn, Composed(image=drawn[1], edit="at night"), Document(image=first, text="a red bicycle")]


def images(count: int, size: tuple[int, int]) -> list[Image]:
    """Smooth random images."""
    noise = np.random.default_rng(sum(size))
    small = (noise.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in range(count))
    return [Image(pixels=PIL.Image.fromarray(one).resize(size, PIL.Image.Resampling.BICUBIC)) for one in small]


def tiled(image: Image, tiler: Tiler) -> Tiled:
    """Returns an image as a job's decoders hand it over."""
    return Tiled(tiles=tiler(image.pixels), size=image.size, content_hash=image.content_hash)


def texts(count: int, words: int) -> list[Input]:
    """Texts of so many words."""
    draw, known = random.Random(words), " ".join(sentences(400, seed=2)).split()
    return [Text(text=" ".join(draw.choices(known, k=words))) for _ in range(count)]


def shuffled(count: int, lengths: Sequence[int]) -> list[Input]:
    """Texts, so many of each length in words, in no order."""
    drawn = [one for words in lengths for one in texts(count, words)]
    random.Random(0).shuffle(drawn)
    return drawn


def jpeg(pixels: PIL.Image.Image) -> bytes:
    """Encoded."""
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=90)
    return file.getvalue()


def worst(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The lowest cosine of two vectors of the same input."""
    return float((left * right).sum(axis=1).min())


def top(vectors: NDArray[np.float32], row: int) -> Sequence[int]:
    """The ten nearest of a row."""
    nearest: list[int] = np.argsort(-(vectors @ vectors[row]))[:10].tolist()
    return nearest


def shared(right: NDArray[Any], found: NDArray[Any]) -> float:
    """Of rows of neighbors, the share that both have."""
    pairs = zip(right.tolist(), found.tolist(), strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(one) for one, other in pairs]))


def work(config: Any, length: int, tiles: int) -> float:
    """Floating-point operations of one input: two a weight and token, and attention, half of it in a causal model."""
    text, tower = config.text_config, config.vision_config
    h, kv = text.hidden_size, text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    layer = 2 * h * h + 2 * h * kv + 3 * h * text.intermediate_size
    decoder = text.num_hidden_layers * (2 * layer * length + 2 * length**2 * h)
    v, patches = tower.hidden_size, (tower.image_size // tower.patch_size) ** 2 + 1
    block = 4 * v * v + 2 * v * tower.intermediate_size
    seen = tower.num_hidden_layers * (2 * block * patches + 4 * patches**2 * v)
    projector = 2 * (v * h + h * h) * (patches - 1)
    return float(decoder + tiles * (seen + projector))
