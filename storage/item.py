"""Items that a collection stores, and hits that a search returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Metadata: TypeAlias = str | bool | int | float | datetime | list[str]
Modality: TypeAlias = Literal["image", "text"]


@dataclass(frozen=True, kw_only=True)
class ImageWord:
    """A word that an image shows, and where.

    x, y: of the top left corner of its box, as shares of the image's width and height, 0 to 1.
    width, height: of the box, as shares of the image's.
    confidence: of the recognition, 0 to 1.
    """

    text: str
    x: float
    y: float
    width: float
    height: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image or text with its vector.

    id: unique in its collection; the key of an upsert.
    uri: of the original.
    text: of a text item, or a caption of an image.
    metadata: the caller's own values. A key has one type in the whole collection. A datetime without a zone is UTC, and
        is returned with it. Keys that begin with `_` are the indexer's, and are not indexed.
    content_hash: equal for equal content; unchanged content is not embedded again.
    image_hash: equal for equal pixels; lets a search exclude copies of the query image.
    width, height: pixels.
    thumbnail: an encoded small image (JPEG, WebP).
    vector: float32 (d,), unit length. Stored as float16, so it is returned rounded to 11 significant bits, and only on
        request.
    indexed_at: when it was stored; an upsert fills it in when None.
    image_text: text that the image shows; found by keywords and hybrid search, never part of the vector. None: it was
        not looked for; "": there is none.
    image_words: the words of `image_text`, in its order. Returned only on request.
    """

    id: str
    modality: Modality
    uri: str
    content_hash: str
    text: str | None = None
    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    image_hash: str | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: bytes | None = field(default=None, repr=False)
    # An array has no single truth value, so equality of items leaves the vector out.
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    indexed_at: datetime | None = None
    image_text: str | None = None
    image_words: tuple[ImageWord, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An item found.

    score: cosine similarity to the query, in [-1, 1]; higher is nearer.
    confidence: share of unrelated queries whose best hit of the item's modality scores lower; None: not known.
    """

    item: Item
    score: float
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class UpsertCount:
    """Result of an upsert: rows that are new, and rows that replaced one of the same id."""

    added: int
    updated: int
