"""The table of a collection: its columns and its space, and items to and from Arrow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from unicodedata import normalize

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.errors import BadSpace, SpaceMismatch
from oneword.storage.item import ImageWord, Item
from oneword.storage.metadata import EPOCH, Kind, comparable, dumps, loads, number_of

# In the metadata of the schema, which LanceDB writes in the commit that creates the table and preserves in every later
# one: a collection always has its space.
SPACE_KEY = b"oneword.space"
CREATED_KEY = b"oneword.created"

STAMP = "stamp"
"""int64, drawn at random whenever a row is written: it identifies the row as it was written, also after a compaction
has moved it. Collections of earlier releases lack the column."""
META = "meta_"
REST = "rest_"
"""Prefix of a metadata key: the int64 column of the difference of a whole number beyond 2^53 from the float64 in its
`meta_` column. It is added with the first such number."""

TIME = pa.timestamp("us", tz="UTC")
TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "bool": pa.bool_(),
    "time": TIME,
    "list of strings": pa.list_(pa.string()),
}
PANDAS = "__index_level_"
"""Prefix of the column that pandas writes row labels to; never metadata."""

STRINGS = ("id", "modality", "uri", "content_hash", "text", "image_hash")
ITEM_COLUMNS = (
    *STRINGS,
    "width",
    "height",
    "indexed_at",
    "metadata",
)  # required by to_items; the others are optional
IMAGE_TEXT, IMAGE_WORDS = "image_text", "image_words"
WORD = pa.struct(
    [
        pa.field("text", pa.string()),
        *[pa.field(name, pa.float32()) for name in ("x", "y", "width", "height", "confidence")],
    ]
)
TEXT_COLUMNS = {IMAGE_TEXT: pa.string(), IMAGE_WORDS: pa.list_(WORD)}
"""Columns that are added with the first item that has a value in them; until then every item's is None."""


def table_schema(space: Mapping[str, Any], created: datetime) -> pa.Schema:
    """The schema of an empty collection; `created` also distinguishes it from an earlier one of the same name."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("modality", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("content_hash", pa.string(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("image_hash", pa.string()),
            pa.field("width", pa.int64()),
            pa.field("height", pa.int64()),
            pa.field("thumbnail", pa.binary()),
            pa.field("indexed_at", TIME, nullable=False),
            pa.field("metadata", pa.string(), nullable=False),
            pa.field(STAMP, pa.int64(), nullable=False),
            pa.field("vector", pa.list_(pa.float16(), space["dimension"]), nullable=False),
        ],
        metadata={SPACE_KEY: json.dumps(space), CREATED_KEY: created.isoformat()},
    )


def space_of(schema: pa.Schema) -> dict[str, Any]:
    """The space in a table's schema."""
    return dict(json.loads(schema.metadata[SPACE_KEY]))


def created_of(schema: pa.Schema) -> datetime:
    """When the collection was created (UTC)."""
    return datetime.fromisoformat(schema.metadata[CREATED_KEY].decode())


def metadata_kinds(schema: pa.Schema) -> dict[str, Kind]:
    """The metadata keys of the collection with their kinds, in the order they were added."""
    kinds = {str(arrow): kind for kind, arrow in TYPES.items()}
    return {field.name[len(META) :]: kinds[str(field.type)] for field in schema if field.name.startswith(META)}


def item_columns(schema: pa.Schema) -> list[str]:
    """The columns of a table's items as searches return them: without thumbnails, vectors and words of images."""
    return [*ITEM_COLUMNS, *[IMAGE_TEXT] * (IMAGE_TEXT in schema.names)]


def to_arrow(items: Sequence[Item], schema: pa.Schema, now: datetime) -> pa.Table:
    """Rows with every column of `schema`, so an update also clears what the new item lacks.

    items: admitted by storage.rules. now: for items whose `indexed_at` is None.
    """
    dimension = schema.field("vector").type.list_size
    vectors = np.empty((len(items), dimension), np.float16)
    for row, item in enumerate(items):
        vectors[row] = item.vector
    columns: dict[str, Any] = {name: [getattr(item, name) for item in items] for name in STRINGS}
    columns["text"] = [item.text and normalize("NFC", item.text) for item in items]  # é is found in either form
    columns |= {name: [getattr(item, name) for item in items] for name in ("width", "height", "thumbnail")}
    if IMAGE_TEXT in schema.names:
        columns[IMAGE_TEXT] = [item.image_text and normalize("NFC", item.image_text) for item in items]
    if IMAGE_WORDS in schema.names:
        words = [item.image_words for item in items]
        columns[IMAGE_WORDS] = [None if some is None else [asdict(one) for one in some] for some in words]
    columns["indexed_at"] = [item.indexed_at or now for item in items]
    columns["metadata"] = [dumps(item.metadata) for item in items]
    if STAMP in schema.names:
        columns[STAMP] = np.random.default_rng().integers(-(2**63), 2**63 - 1, len(items))
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    for key in metadata_kinds(schema):
        columns[META + key] = [comparable(item.metadata[key]) if key in item.metadata else None for item in items]
        if REST + key in schema.names:
            columns[REST + key] = [rest_of(item.metadata.get(key)) for item in items]
    return pa.table(columns, schema=schema.remove_metadata())


def rest_of(value: object) -> int | None:
    """The value of the `rest_` column: None where the float64 is exact."""
    return number_of(value)[1] or None if isinstance(value, int) and not isinstance(value, bool) else None


def to_items(batch: pa.RecordBatch | pa.Table) -> list[Item]:
    """The items of rows; optional columns that were not read are None."""
    optional = [name for name in ("thumbnail", *TEXT_COLUMNS) if name in batch.schema.names]
    columns = {name: batch.column(name).to_pylist() for name in (*STRINGS, "width", "height", "metadata", *optional)}
    if IMAGE_WORDS in columns:
        columns[IMAGE_WORDS] = list(map(words_of, columns[IMAGE_WORDS]))
    columns["metadata"] = list(map(loads, columns["metadata"]))
    micros = batch.column("indexed_at").cast(pa.int64()).to_pylist()  # a fifth of the time that Arrow's datetimes take
    columns["indexed_at"] = [EPOCH + timedelta(microseconds=one) for one in micros]
    if "vector" in batch.schema.names:
        columns["vector"] = [one.astype(np.float32) for one in vectors_of(batch)]  # whoever keeps one keeps no other
    return [Item(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def words_of(stored: Sequence[Mapping[str, Any]] | None) -> tuple[ImageWord, ...] | None:
    """The words of an image from a value of their column."""
    return None if stored is None else tuple(ImageWord(**one) for one in stored)


def vectors_of(batch: pa.RecordBatch | pa.Table) -> NDArray[np.float16]:
    """The vectors of rows: float16 (n, d)."""
    column = batch.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    vectors: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(len(column), column.type.list_size)


REQUIRED: dict[str, type] = {"fingerprint": str, "dimension": int, "model": str, "view": str}


DECISIVE = ("revision", "prompts", "preprocessing", "dimension", "normalisation")
"""Of a space, what decides whether vectors may be compared; its fingerprint is made of it."""


def checked_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `space` as it will be read back from the table.

    Raises:
        BadSpace: a required key is missing or of another type, or a value is not JSON.
    """
    for key, kind in REQUIRED.items():
        if type(space.get(key)) is not kind or not space[key]:
            raise BadSpace(
                f"a space has {key!r} as {space.get(key)!r}, expected a {kind.__name__}; "
                "make it with the encoder that makes the vectors"
            )
    if space["dimension"] < 1:
        raise BadSpace(f"a space has dimension {space['dimension']}, expected 1 or more")
    try:
        copy = json.loads(json.dumps(dict(space), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadSpace(f"a space must be a JSON object: {error}") from error
    return dict(copy)


def check_same(name: str, holds: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
    """Check that vectors of two spaces may be compared.

    Raises:
        SpaceMismatch: they may not.
    """
    if not is_same(holds, requested):
        raise SpaceMismatch(name, holds, requested)


def is_same(holds: Mapping[str, Any], requested: Mapping[str, Any]) -> bool:
    """Whether a model's space is that of a collection: their fingerprints, or all that the collection knows, are equal.

    A later release may tell more of its preprocessing than the one that made the collection.
    """
    if holds["fingerprint"] == requested["fingerprint"]:
        return True
    before, now = (space.get("preprocessing") for space in (holds, requested))
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return False
    known = {**holds, "preprocessing": before}
    compared = json.loads(json.dumps({**requested, "preprocessing": {key: now.get(key) for key in before}}))
    return bool(before) and all(known.get(key) == compared.get(key) for key in DECISIVE)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def metadata_kind(kind: pa.DataType) -> Kind | None:
    """The kind of metadata that values of an Arrow type become; None: they cannot be metadata."""
    kind = plain_type(kind)
    if is_text(kind):
        return "string"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if is_list(kind) and is_text(plain_type(kind.value_type)):
        return "list of strings"
    return None


def plain_type(kind: pa.DataType) -> pa.DataType:
    """An Arrow type; of a dictionary, that of its values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
