"""Items as callers give them, made into items with vectors as a collection stores them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oneword import engine
from oneword.query.errors import BadQuery
from oneword.storage import Item

BROUGHT = "client:"
"""Before the content hash of an item whose vector a client brought: no job takes such a vector for other inputs."""


class Given(Protocol):
    """What a caller says of an item; see `oneword.query.client.NewItem`."""

    @property
    def id(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def vector(self) -> Sequence[float] | None: ...
    @property
    def uri(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def modality(self) -> str | None: ...


def content_of(given: Given, image: engine.Image | None) -> engine.Input | None:
    """Returns what is embedded: a text, an image, or both as one document; None if there is neither."""
    if image is None:
        return engine.Text(text=given.text) if given.text is not None else None
    return image if given.text is None else engine.Document(image=image, text=given.text)


def unit(values: Sequence[float], dimension: int) -> NDArray[np.float32]:
    """Returns a vector of unit length, float32 (dimension,).

    Raises:
        BadQuery: another dimension, a length of zero, or something else than finite numbers.
    """
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise BadQuery(f"is no list of numbers: {error}") from error
    if vector.shape != (dimension,):
        raise BadQuery(f"has shape {vector.shape}: expected ({dimension},), as the collection has")
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise BadQuery(f"has length {length:g}: expected finite numbers, not all zero")
    return (vector / length).astype(np.float32)


def stored_unit(item: Item) -> NDArray[np.float32]:
    """Returns the vector of an item that was read with it, at unit length, which float16 rounds: float32 (d,)."""
    assert item.vector is not None, "read without its vector"
    unit: NDArray[np.float32] = item.vector / np.linalg.norm(item.vector)
    return unit


def item_of(
    given: Given,
    content: engine.Input | None,
    image: engine.Image | None,
    thumbnail: bytes | None,
    vector: NDArray[np.float32],
) -> Item:
    """Returns the item; without an id of its own it is named by its URI, or by its content."""
    if content is not None:
        hashed = content.content_hash
    else:
        hashed = hashlib.sha256(b"vector" + np.asarray(given.vector, np.float32).tobytes()).hexdigest()
    made = hashed[:32] if given.uri is None else hashlib.sha256(given.uri.encode()).hexdigest()[:16]
    item_id = given.id or made
    return Item(
        id=item_id,
        modality="image" if image is not None or given.modality == "image" else "text",
        uri=given.uri or f"urn:oneword:item:{item_id}",
        content_hash=hashed if given.vector is None else f"{BROUGHT}{hashed}",
        text=given.text,
        metadata=given.metadata,
        image_hash=image.content_hash if image is not None else None,
        width=image.size[0] if image is not None else None,
        height=image.size[1] if image is not None else None,
        thumbnail=thumbnail,
        vector=vector,
    )
