"""Inputs of an encoder: a text, an image, both as one document, an image with an edit, or images between words.

Each input is frozen and carries a `content_hash`: two inputs with equal hashes get equal vectors (in one
space and on one side), so equal content need be embedded only once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from unicodedata import normalize

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine.config import MAX_PIECES
from oneword.engine.errors import BadSequence, BadText, BlankText, ZeroAreaImage
from oneword.engine.images import to_rgb
from oneword.engine.regions import Region, box
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
        region_of: the `content_hash` of the image that this is a region of; empty for a whole one.

    Raises:
        ZeroAreaImage: a width or height of zero.
    """

    pixels: PIL.Image.Image = field(repr=False)
    region_of: str = field(default="", repr=False, compare=False)

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

    def cropped(self, region: Region) -> "Image":
        """Returns a region of the image, as an image that remembers what it is a region of."""
        return Image(pixels=self.pixels.crop(box(region, self.size)), region_of=self.content_hash)


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


@dataclass(frozen=True, kw_only=True)
class Interleaved:
    """Images with words between them, in their order: a sofa, "the sofa of this", a room, "in the room of this".

    Args:
        pieces: 2 to 16 of them, at least one an image. Texts that follow each other become one, with a space between.

    Raises:
        BadSequence: too few or too many pieces, or no image.
        BlankText, BadText: as `Text`.
    """

    pieces: Sequence[Image | str]

    def __post_init__(self) -> None:
        given = tuple(self.pieces)
        if not 2 <= len(given) <= MAX_PIECES or not any(isinstance(one, Image) for one in given):
            raise BadSequence(
                f"{len(given)} pieces, {sum(isinstance(one, Image) for one in given)} of them images: expected 2 to "
                f"{MAX_PIECES} images and texts, at least one an image"
            )
        pieces: list[Image | str] = []
        for one in given:
            piece = _checked(one, "text between images") if isinstance(one, str) else one
            if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
                piece = f"{pieces.pop()} {piece}"
            pieces.append(piece)
        object.__setattr__(self, "pieces", tuple(pieces))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the images' hashes and the texts, in their order."""
        marked = (("text", one) if isinstance(one, str) else ("image", one.content_hash) for one in self.pieces)
        return _digest("interleaved", *(part.encode() for pair in marked for part in pair))


Input = Text | Image | Document | Composed | Interleaved


def pieces(item: Input, in_document: float = 1.0, in_composed: float = 1.0) -> Sequence[tuple[Image | str, float]]:
    """Returns an input's images and texts in their order, each with its weight where a text's is 1.

    Args:
        in_document: weight of an image beside a caption.
        in_composed: weight of an image beside an edit, or between words. An image alone has 1.
    """
    match item:
        case Text(text=text):
            return ((text, 1.0),)
        case Image():
            return ((item, 1.0),)
        case Document(image=image, text=text):
            return (image, in_document), (text, 1.0)
        case Composed(image=image, edit=edit):
            return (image, in_composed), (edit, 1.0)
        case Interleaved(pieces=several):
            return tuple((one, 1.0 if isinstance(one, str) else in_composed) for one in several)


def images_of(item: Input) -> tuple[Image, ...]:
    """Returns an input's images, in their order."""
    return tuple(piece for piece, _ in pieces(item) if isinstance(piece, Image))


def texts_of(item: Input) -> tuple[str, ...]:
    """Returns an input's texts, in their order."""
    return tuple(piece for piece, _ in pieces(item) if isinstance(piece, str))
