"""Parts of a query as JSON."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import PIL.Image
from pydantic import Discriminator, Field, Tag

from oneword.query.query import Composed, Image, Like, Part, Vector
from oneword.query.query import Text as TextPart
from oneword.query.server.limits import MAX_DIMENSION
from oneword.query.server.requests import Body, Name, Number, Text

Picture = Annotated[
    str,
    Field(
        min_length=1,
        description="A data URI, base64, an http(s) URL, or `upload:NAME`, a file of the same multipart request.",
        examples=["https://example.org/cat.jpg"],
    ),
]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=MAX_DIMENSION, fail_fast=True)]


class _Weighted(Body):
    weight: Annotated[Number, Field(description="Below zero: less like this.", examples=[-0.3])] = 1.0


class TextIn(_Weighted):
    """Words."""

    text: Text


class ImageIn(_Weighted):
    """A picture."""

    image: Picture


class Edited(Body):
    """A picture and how hits should differ from it."""

    image: Picture
    edit: Text


class ComposedIn(_Weighted):
    """A picture and an edit, embedded as one."""

    composed: Edited


class LikeIn(_Weighted):
    """A stored item, by id."""

    like: Name


class VectorIn(_Weighted):
    """A vector of the collection's space."""

    vector: Numbers


_KINDS = {"text": TextIn, "image": ImageIn, "composed": ComposedIn, "like": LikeIn, "vector": VectorIn}


def _kind(value: Any) -> str:
    given = value if isinstance(value, Mapping) else vars(value) if hasattr(value, "__dict__") else {}
    return next((f"({kind})" for kind in _KINDS if kind in given), "(text)")


PartIn = Annotated[
    Annotated[TextIn, Tag("(text)")]
    | Annotated[ImageIn, Tag("(image)")]
    | Annotated[ComposedIn, Tag("(composed)")]
    | Annotated[LikeIn, Tag("(like)")]
    | Annotated[VectorIn, Tag("(vector)")],
    Discriminator(_kind),
]


def part_of(part: PartIn, images: Iterator[PIL.Image.Image]) -> Part:
    """A part of a query; pictures are taken from `images`, decoded. Raises BadQuery."""
    match part:
        case TextIn():
            return TextPart(text=part.text, weight=part.weight)
        case ImageIn():
            return Image(image=next(images), weight=part.weight)
        case ComposedIn():
            return Composed(image=next(images), edit=part.composed.edit, weight=part.weight)
        case LikeIn():
            return Like(id=part.like, weight=part.weight)
        case VectorIn():
            return Vector(values=part.vector, weight=part.weight)
