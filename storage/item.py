"""What a collection stores, and what a search returns."""

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
class Item:
    """One picture or text, and where its vector points.

    id: unique in its collection; the key of an upsert.
    uri: where the original is.
    text: the words themselves (a text item) or words that came with a picture.
    metadata: the caller's own facts. A key has one type in the whole collection. A datetime without
        a zone is taken as UTC, and comes back with it. Keys that begin with `_` are the indexer's; none is indexed.
    content_hash: equal for equal content, whatever its name; decides what is embedded again.
    image_hash: equal for equal pixels; lets a search leave out copies of the question.
    width, height: pixels.
    thumbnail: an encoded small picture (JPEG, WebP).
    vector: float32 (d,), unit length. Kept as float16, so it comes back rounded to 11 significant
        bits, and comes back at all only where it is asked for.
    indexed_at: when it was stored; an upsert fills it in when None.
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


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An item found. score: cosine similarity to the question, in [-1, 1], higher is nearer."""

    item: Item
    score: float


@dataclass(frozen=True, kw_only=True)
class UpsertCount:
    """What one upsert did: rows that are new, rows that replaced an older one of the same id."""

    added: int
    updated: int
