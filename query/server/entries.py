"""Items as JSON: parsing and embedding of items to store, and the JSON of stored ones."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from oneword.engine.decoded import DecodedImage as Decoded
from oneword.engine.encoder import Side
from oneword.engine.errors import EngineError, InputError
from oneword.query.errors import BadQuery
from oneword.query.items import content_of, item_of, unit
from oneword.query.result import data_uri, plain
from oneword.query.server.images import Named
from oneword.query.server.limits import MAX_ITEMS
from oneword.query.server.problem import Problem
from oneword.query.server.registry import Served, State
from oneword.query.server.requests import Body, Name, Number, Numbers, Picture, Text
from oneword.query.server.threads import gather
from oneword.storage import Item

Value = Annotated[
    bool | int | Number | Text | Annotated[list[Name], Field(max_length=1000, fail_fast=True)],
    Field(description="Text, number, boolean, or list of texts. A text in ISO 8601 form stays a text."),
]


class ItemIn(Body):
    """A text, an image, both as one document, or a vector with its content."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "cat-1", "image": "https://example.org/cat.jpg", "metadata": {"year": 2024}},
                {"text": "the cat sleeps on the sofa"},
            ]
        }
    )

    id: Annotated[
        Annotated[Name, Field(min_length=1)] | None,
        Field(description="Default: derived from the URI, else from the content."),
    ] = None
    text: Text | None = None
    image: Picture | None = None
    vector: Annotated[Numbers | None, Field(description="In the collection's space; normalized to unit length.")] = None
    modality: Annotated[Literal["image", "text"] | None, Field(description="Only with `vector`.")] = None
    uri: Annotated[Name | None, Field(description="Where the original is; not a file:// URI.")] = None
    metadata: Annotated[dict[str, Value], Field(max_length=200)] = Field(default_factory=dict)


class ItemsIn(Body):
    """Items to store; if an id is repeated, the last one counts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"id": "note-1", "text": "the cat sleeps", "metadata": {"year": 2024}}]}]
        }
    )

    items: Annotated[list[ItemIn], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)]
    fingerprint: Annotated[Name | None, Field(description="Of the space of the vectors, to be checked.")] = None


@dataclass(frozen=True, kw_only=True)
class Read:
    """An item with its vector. shortened: its text is longer than the model reads."""

    item: Item
    shortened: bool = False


AT_ONCE = 64
"""Items of one request that are read and embedded concurrently."""


async def embedded(
    state: State, served: Served, given: Sequence[ItemIn], uploads: Mapping[str, bytes]
) -> list[Read | Problem]:
    """Embeds items; one that cannot be read or embedded yields a Problem."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(place: int, item: ItemIn) -> Read | Problem:
        field = f"items[{place}]"
        async with slots:
            try:
                _check(item, field)
                if item.image is None:
                    return await _read(state, served, item, None, field)
                async with state.images.read([Named(item.image, f"{field}.image")], uploads, thumbnails=True) as (
                    decoded,
                ):
                    return await _read(state, served, item, decoded, field)
            except Problem as problem:
                return problem
            except InputError as error:
                return Problem.of(error, field=f"{field}.text")

    return await gather(one(place, item) for place, item in enumerate(given))


async def _read(state: State, served: Served, given: ItemIn, decoded: Decoded | None, field: str) -> Read:
    image, small = (decoded.image, decoded.thumbnail) if decoded is not None else (None, None)
    content = content_of(given, image)
    if given.vector is not None or content is None:
        try:
            vector = unit(given.vector or [], served.collection.dimension)
        except BadQuery as error:
            raise Problem("bad_vector", f"{field}.vector {error}", field=f"{field}.vector") from error
        return Read(item=item_of(given, content, image, small, vector))
    batcher = await state.collections.batcher(served)
    (read,) = await batcher.read([content])
    (found,) = await batcher.embed([read], served.service.view, Side.GALLERY)
    if isinstance(found, EngineError):
        raise Problem.of(found, field=field)
    return Read(item=item_of(given, content, image, small, found), shortened=read is not content)


def _check(given: ItemIn, field: str) -> None:
    def refused(detail: str, remedy: str, name: str = "") -> Problem:
        return Problem("bad_item", f"{field}{name}: {detail}", remedy=remedy, field=f"{field}{name}")

    if given.text is None and given.image is None and given.vector is None:
        raise refused("has no text, no image and no vector", "Give at least one of them.")
    if given.vector is None and given.modality is not None:
        raise refused("only allowed together with `vector`", "Leave it out, or give a vector.", ".modality")
    if given.vector is not None and given.image is None and given.text is None and given.id is None:
        raise refused("has only a vector and no id", "Give an id, a text or an image.")
    if given.uri is not None and not given.uri.lower().startswith(("http://", "https://", "s3://", "gs://", "urn:")):
        raise refused(
            f"{given.uri[:100]!r} is not an http, https, s3, gs or urn URI", "Leave it out, or give such a URI.", ".uri"
        )
    for key in given.metadata:
        if key.startswith("_"):
            raise refused(
                "begins with '_', which is reserved for the indexer", "Use another key.", f".metadata.{key[:70]}"
            )


def shown(item: Item, include: frozenset[str]) -> dict[str, Any]:
    """A stored item as JSON. include: "payload", "vector", "thumbnail"."""
    document: dict[str, Any] = {"id": item.id, "modality": item.modality}
    if "payload" in include:
        document |= {
            "uri": item.uri,
            "text": item.text,
            "metadata": plain({key: value for key, value in item.metadata.items() if not key.startswith("_")}),
            "width": item.width,
            "height": item.height,
            "indexed_at": item.indexed_at.isoformat() if isinstance(item.indexed_at, datetime) else None,
        }
        if item.image_text is not None:
            document["image_text"] = item.image_text
    if "vector" in include and item.vector is not None:
        document["vector"] = item.vector.tolist()
    if "thumbnail" in include:
        document["thumbnail"] = None if item.thumbnail is None else data_uri(item.thumbnail)
    return document
