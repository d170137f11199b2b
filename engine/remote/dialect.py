"""What differs between servers: how inputs are written, and what is known of the space."""

import base64
import io
from collections.abc import Sequence
from typing import Any, Protocol

from oneword.engine.encoder import Side
from oneword.engine.inputs import Image, Input, images_of
from oneword.engine.space import Space
from oneword.engine.views import View


class Dialect(Protocol):
    """One server's way of being asked."""

    dimension: int
    """Length of a vector."""

    chunk_tokens: int
    """See `Encoder`."""

    text_tokens: int | None
    """See `Limited`."""

    @property
    def tokenizer(self) -> str | None:
        """See `Encoder`."""
        ...

    def space(self, view: View) -> Space:
        """The space of the served model and a view. Raises `ViewError`."""
        ...

    def kind(self, item: Input) -> str | None:
        """Inputs of one kind can share a request; one of the kind None takes a request of its own."""
        ...

    def body(self, inputs: Sequence[Input], view: View, side: Side) -> dict[str, Any]:
        """The JSON body that asks for their vectors.

        Raises:
            InputError: this way cannot carry an input; only raised for one input at a time.
        """
        ...

    def check(self, answer: Any, inputs: Sequence[Input], view: View, side: Side) -> None:
        """Looks at what else is in an answer. Raises `RemoteUnavailable`."""
        ...


def grouped(inputs: Sequence[Input], dialect: Dialect, most: int, pixels: int) -> list[list[int]]:
    """Positions of `inputs` in requests, in order: at most so many inputs and, where there are several, pixels.

    Inputs of different kinds share none.
    """
    groups: list[list[int]] = []
    held, open_ = 0, None
    for i, item in enumerate(inputs):
        size = _pixels(item)
        kind = dialect.kind(item)
        if kind is None or kind != open_ or len(groups[-1]) >= most or held + size > pixels:
            groups.append([])
            held, open_ = 0, kind
        groups[-1].append(i)
        held += size
    return groups


def data_uri(image: Image) -> str:
    """The decoded image as a lossless PNG, `data:image/png;base64,...`: the server sees our very pixels."""
    file = io.BytesIO()
    # Without what a file may have told of itself: the pixels are upright already. Little effort: networks are fast.
    bare = image.pixels.copy()
    bare.info = {}
    bare.save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _pixels(item: Input) -> int:
    return sum(width * height for width, height in (image.size for image in images_of(item)))
