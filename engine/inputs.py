"""Inputs of an encoder: a text, an image, both as one document, or an image with an edit.

Each input is frozen and carries a `content_hash`: two inputs with equal hashes get equal vectors (in one
space and on one side), so equal content need be embedded only once.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from unicodedata import normalize

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine.errors import BadText, BlankText, ZeroAreaImage
from oneword.engine.images import to_rgb
from oneword.engine.texts import is_blank


def _digest(kind: str, *parts: bytes) -> str:
    """Returns the SHA-256 over a kind and length-prefixed parts, so that different inputs hash different bytes."""
    sha = hashlib.sha256(kind.encode())
    for part in parts:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.hexdigest()


def text_hash(text: str) -> str:
    """Returns the `content_hash` of a `Text`: SHA-256 (hex) over its UTF-8 bytes. text: in normal form C."""
    return _digest("text", text.encode())


def _checked(text: str, what: str) -> str:
    """Returns the text in Unicode's normal form C, so that é has one vector however it is encoded."""
    if is_blank(text):
        raise BlankText(f"the {what} is blank ({text!r}): expected at least one visible character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadText(
            f"the {what} holds a lone surrogate at character {error.start}: expected valid Unicode text"
        ) from error
    return normalize("NFC", text)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text; a special token of the model in it is read as plain characters.

    Raises:
        BlankText: no visible character.
        BadText: not encodable as UTF-8.
    """

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _checked(self.text, "text"))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the text's UTF-8 bytes."""
        return text_hash(self.text)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A decoded image. Use `oneword.engine.images.decode` to make one from bytes.

    Args:
        pixels: a PIL image of any mode; converted to RGB by `to_rgb` unless it is RGB.

    Raises:
        ZeroAreaImage: a width or height of zero.
    """

    pixels: PIL.Image.Image = field(repr=False)

    def __post_init__(self) -> None:
        if 0 in self.pixels.size:
            raise ZeroAreaImage(f"the image is {self.pixels.width}x{self.pixels.height} pixels: expected at least 1x1")
        if self.pixels.mode != "RGB":
            object.__setattr__(self, "pixels", to_rgb(self.pixels))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.size

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over mode, size and the decoded pixels' bytes."""
        width, height = self.size
        return _digest("image", f"{self.pixels.mode} {width}x{height}".encode(), self.pixels.tobytes())

    @property
    def held(self) -> int:
        """Number of pixels in memory."""
        return self.size[0] * self.size[1]


class Tiled(Image):
    """An image reduced to the tiles of one encoder, see `oneword.engine.encoder.Tiling`. It has no pixels.

    Args:
        tiles: uint8 (t, 3, s, s).
        size, content_hash: of the original image.
    """

    def __init__(self, *, tiles: NDArray[np.uint8], size: tuple[int, int], content_hash: str) -> None:
        vars(self).update(tiles=tiles, whole=size, content_hash=content_hash)

    tiles: NDArray[np.uint8]
    whole: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the original image."""
        return self.whole

    @property
    def held(self) -> int:
        """Number of pixels in memory."""
        return self.tiles.size // 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tiled) and self.content_hash == other.content_hash

    def __hash__(self) -> int:
        return hash(self.content_hash)


@dataclass(frozen=True, kw_only=True)
class Document:
    """An image and a text that belong together, embedded as one."""

    image: Image
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _checked(self.text, "caption"))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the image's hash and the text."""
        return _digest("document", self.image.content_hash.encode(), self.text.encode())


@dataclass(frozen=True, kw_only=True)
class Composed:
    """An image and an edit of it: "this dress, but red and longer"."""

    image: Image
    edit: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "edit", _checked(self.edit, "edit"))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the image's hash and the edit."""
        return _digest("composed", self.image.content_hash.encode(), self.edit.encode())


Input = Text | Image | Document | Composed


def parts(item: Input, in_document: float, in_composed: float) -> tuple[Image | None, str | None, float]:
    """Returns an input's image, its text, and the weight of the image where the text's is 1.

    Args:
        in_document, in_composed: weights for those kinds; an image alone has 1.
    """
    match item:
        case Text(text=text):
            return None, text, 0.0
        case Image():
            return item, None, 1.0
        case Document(image=image, text=text):
            return image, text, in_document
        case Composed(image=image, edit=edit):
            return image, edit, in_composed
