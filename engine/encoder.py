"""The protocol that models implement."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine.errors import ViewError
from oneword.engine.inputs import Input
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View

Vectors = NDArray[np.float32]

Tiler = Callable[[PIL.Image.Image], NDArray[np.uint8]]
"""An RGB image to uint8 (t, 3, s, s). Picklable, and light to import: it runs in processes that decode."""


InputType = Literal["query", "document"]
"""A side as services call it: `input_type`."""


class Side(StrEnum):
    """Which of the two prompt sets of a view is used: that for what is asked, or for what is stored."""

    QUERY = "query"
    GALLERY = "gallery"

    @property
    def input_type(self) -> InputType:
        """What services call it."""
        return "query" if self is Side.QUERY else "document"

    @classmethod
    def of(cls, input_type: InputType) -> "Side":
        """The inverse of `input_type`."""
        return cls.QUERY if input_type == "query" else cls.GALLERY


class Encoder(Protocol):
    """A model that embeds inputs, in three steps so that they can overlap.

    `oneword.engine.encode` drives it: it asks for a `plan`, then runs `prepare` (CPU: tokenize, resize) for the next
    batch in a thread while `forward` (device) works on this one, and `finish` brings the result back.

    Legend: n inputs in a batch, d dimensions.
    """

    name: str
    """The model's id, as `oneword.engine.models.load` takes it."""

    dimension: int
    """d, the length of a vector."""

    chunk_tokens: int
    """Maximum tokens of a chunk; longer texts are split into chunks when they are indexed in bulk."""

    @property
    def tokenizer(self) -> str | None:
        """JSON of the `tokenizers.Tokenizer` that counts tokens, without truncation; None: words and marks."""
        ...

    def space(self, view: View) -> Space:
        """Returns the space of this view's vectors.

        Raises:
            ViewError: the model cannot follow this view.
        """
        ...

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:
        """Returns positions of `inputs`, grouped into batches that fit the device. Every position occurs once."""
        ...

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Any:
        """Returns one batch, ready for the device. Runs in another thread; uses no device."""
        ...

    def forward(self, batch: Any) -> Any:
        """Returns the model's output, still on the device.

        Raises:
            DeviceOutOfMemory: the batch does not fit; the driver halves it.
            EncodingError: an input cannot be embedded; `index` is its position in the batch.
        """
        ...

    def finish(self, raw: Any) -> Vectors:
        """Returns float32 (n, d) on the CPU, of any length: the driver checks and normalizes."""
        ...


@runtime_checkable
class Tiling(Protocol):
    """An encoder that sees only tiles of an image, which can be cut where the image is decoded.

    It takes an `oneword.engine.inputs.Tiled` wherever it takes an `Image`, and gives it the same vector.
    """

    @property
    def tiler(self) -> Tiler:
        """The function that cuts the tiles."""
        ...


@runtime_checkable
class Limited(Protocol):
    """An encoder that knows how much of a text it reads."""

    @property
    def text_tokens(self) -> int | None:
        """Maximum tokens of a text, as its tokenizer counts them; the rest is cut. None: not known."""
        ...


def reads_any_view(encoder: Encoder) -> bool:
    """Returns whether an encoder follows any view, not only the one it was made with."""
    try:
        encoder.space(replace(DEFAULT, name="any"))
    except ViewError:
        return False
    return True


def tiler_of(encoder: Encoder) -> Tiler | None:
    """Returns an encoder's tiler; None if it takes whole images."""
    return encoder.tiler if isinstance(encoder, Tiling) else None
