"""A model for the frameworks: texts and images to lists of numbers."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import PIL.Image

from oneword.engine.chunks import Splitter
from oneword.engine.decoded import decode_image
from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import encode
from oneword.engine.inputs import Image, Input, Text
from oneword.engine.models import load
from oneword.engine.views import DEFAULT, get

BLANK = "."
"""Stands for a blank text: frameworks want a vector for each."""


class Embedder:
    """An encoder that is loaded when it is first used. Texts longer than it reads are cut, as everywhere here.

    Args:
        model: an encoder, or what `--model` takes.
        view: a view's name.
    """

    def __init__(self, model: Encoder | str = "auto", view: str = "default") -> None:
        self.name = model if isinstance(model, str) else model.name
        self._model, self._view = model, DEFAULT if view == DEFAULT.name else get(view)

    @cached_property
    def encoder(self) -> Encoder:
        """The model."""
        return load(self._model) if isinstance(self._model, str) else self._model

    @cached_property
    def _splitter(self) -> Splitter:
        return Splitter.of(self.encoder)

    def texts(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        """Unit vectors of texts."""
        made = self.vectors([Text(text=one if one.strip() else BLANK) for one in texts], side)
        return cast("list[list[float]]", made.tolist())

    def images(self, images: Sequence[Any], side: Side) -> list[list[float]]:
        """Unit vectors of images: paths, encoded bytes, streams of them, or PIL images."""
        return cast("list[list[float]]", self.vectors([read_image(one) for one in images], side).tolist())

    def vectors(self, inputs: Sequence[Input], side: Side) -> Vectors:
        """Unit vectors, float32 (n, d)."""
        return encode(self.encoder, [self._splitter.fitted(one) for one in inputs], self._view, side)


def read_image(image: Any) -> Image:
    """An image from a path, encoded bytes, a stream or PIL. Raises `oneword.engine.errors.InputError`."""
    if isinstance(image, PIL.Image.Image):
        return Image(pixels=image)
    if isinstance(image, str | Path):
        return decode_image(Path(image).expanduser().read_bytes(), str(image)).image
    return decode_image(image if isinstance(image, bytes) else image.read(), "the image").image
