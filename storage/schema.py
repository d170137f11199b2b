"""The table of a collection: its columns, and items to and from Arrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import BadItem
from storage.item import Item
from storage.metadata import KEY, Kind, comparable, dumps, kind_of, loads

# Kept in the schema's own metadata, which LanceDB writes in the commit that creates the table and
# carries through every later one: a collection can not be without its space, nor lose it.
SPACE_KEY = b"oneword.space"
CREATED_KEY = b"oneword.created"

STAMP = "stamp"
"""int64, drawn at random whenever a row is written: it tells the row, as it was written then, from any other, also once
compaction has moved it. Collections made before there was this column are without."""
META = "meta_"
UNIT_TOLERANCE = 1e-3  # float16 has 11 significant bits: the norm of a rounded unit vector stays well within

TIME = pa.timestamp("us", tz="UTC")
TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "bool": pa.bool_(),
    "time": TIME,
    "list of strings": pa.list_(pa.string()),
}
STRINGS = ("id", "modality", "uri", "content_hash", "text", "image_hash")
ITEM_COLUMNS = (
    *STRINGS,
    "width",
    "height",
    "indexed_at",
    "metadata",
)  # what to_items needs; two more it takes


def table_schema(space: Mapping[str, Any], created: datetime) -> pa.Schema:
    """The schema of an empty collection; `created` also tells it from an earlier one of the same name."""
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
    """The space written in a table's schema."""
    return dict(json.loads(schema.metadata[SPACE_KEY]))


def created_of(schema: pa.Schema) -> datetime:
    """When the collection was made (UTC)."""
    return datetime.fromisoformat(schema.metadata[CREATED_KEY].decode())


def metadata_kinds(schema: pa.Schema) -> dict[str, Kind]:
    """The metadata keys that the collection has met, with their kinds, in the order it met them."""
    kinds = {str(arrow): kind for kind, arrow in TYPES.items()}
    return {field.name[len(META) :]: kinds[str(field.type)] for field in schema if field.name.startswith(META)}


def new_columns(items: Iterable[Item], schema: pa.Schema) -> list[pa.Field]:
    """The columns to add before `items` can be stored.

    Raises:
        BadItem: a key or a value that metadata cannot have, or one of another kind than the key's.
    """
    known = metadata_kinds(schema)
    added: dict[str, Kind] = {}
    for item in items:
        for key, value in item.metadata.items():
            kind = _checked_kind(item, key, value)
            kept = known.get(key) or added.setdefault(key, kind)
            if kind != kept:
                raise BadItem(
                    f"item {item.id!r} has metadata {key!r} as a {kind} ({value!r}), but in this collection "
                    f"it is a {kept}; give every item the same kind, or use another key"
                )
    return [pa.field(META + key, TYPES[kind]) for key, kind in added.items()]


def to_arrow(items: Sequence[Item], schema: pa.Schema, now: datetime) -> pa.Table:
    """Rows with every column of `schema`, so that an update also clears what the new item lacks.

    now: for the items whose `indexed_at` is None.

    Raises:
        BadItem: a text that is not Unicode, or a vector of a wrong dimension, not finite or not unit.
    """
    dimension = schema.field("vector").type.list_size
    vectors = np.empty((len(items), dimension), np.float16)
    for row, item in enumerate(items):
        _check_fields(item)
        vectors[row] = _checked_vector(item, dimension)
    columns: dict[str, Any] = {name: [getattr(item, name) for item in items] for name in STRINGS}
    columns |= {name: [getattr(item, name) for item in items] for name in ("width", "height", "thumbnail")}
    columns["indexed_at"] = [item.indexed_at or now for item in items]
    columns["metadata"] = [dumps(item.metadata) for item in items]
    if STAMP in schema.names:
        columns[STAMP] = np.random.default_rng().integers(-(2**63), 2**63 - 1, len(items))
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    for key in metadata_kinds(schema):
        columns[META + key] = [comparable(item.metadata[key]) if key in item.metadata else None for item in items]
    return pa.table(columns, schema=schema.remove_metadata())


def to_items(batch: pa.RecordBatch | pa.Table) -> list[Item]:
    """The items of some rows; `thumbnail` and `vector` are None where their columns were not read."""
    vectors = vectors_of(batch) if "vector" in batch.schema.names else None
    rows = batch.drop_columns(["vector"]).to_pylist() if vectors is not None else batch.to_pylist()
    return [
        Item(
            **{name: row[name] for name in STRINGS},
            width=row["width"],
            height=row["height"],
            thumbnail=row.get("thumbnail"),
            indexed_at=row["indexed_at"].astimezone(UTC),
            metadata=loads(row["metadata"]),
            vector=None if vectors is None else vectors[index].astype(np.float32),
        )
        for index, row in enumerate(rows)
    ]


def vectors_of(batch: pa.RecordBatch | pa.Table) -> NDArray[np.float16]:
    """The vectors of some rows: float16 (n, d)."""
    column = batch.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    vectors: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(len(column), column.type.list_size)


def _checked_kind(item: Item, key: str, value: object) -> Kind:
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise BadItem(
            f"item {item.id!r} has the metadata key {key!r}, expected a letter or '_' followed by at most 62 "
            "letters, digits or '_'; rename it"
        )
    kind = kind_of(value)
    if kind is None:
        raise BadItem(
            f"item {item.id!r} has metadata {key!r} as {value!r}, expected a string, number, bool, datetime "
            "or list of strings; convert it, or leave the key out if there is no value"
        )
    try:
        comparable(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise BadItem(
            f"item {item.id!r} has metadata {key!r} as {value!r}: {error}; correct it or leave it out"
        ) from error
    return kind


def _check_fields(item: Item) -> None:
    if item.modality not in ("image", "text"):
        raise BadItem(f"item {item.id!r} has modality {item.modality!r}, expected 'image' or 'text'")
    if not item.id:
        raise BadItem(f"the item of {item.uri!r} has an empty id, expected a unique one")
    for name in STRINGS:
        value = getattr(item, name)
        if value is None and name in ("text", "image_hash"):
            continue
        try:
            value.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise BadItem(f"item {item.id!r} has {name} {value!r}, expected Unicode text: {error}") from error


def _checked_vector(item: Item, dimension: int) -> NDArray[np.float32]:
    if item.vector is None:
        raise BadItem(f"item {item.id!r} has no vector, expected {dimension} numbers; embed it first")
    vector: NDArray[np.float32] = np.asarray(item.vector, np.float32)
    if vector.shape != (dimension,):
        raise BadItem(f"item {item.id!r} has a vector of shape {vector.shape}, expected ({dimension},)")
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm):
        raise BadItem(f"item {item.id!r} has a vector with NaN or infinity, expected finite numbers; embed it again")
    if abs(norm - 1.0) > UNIT_TOLERANCE:
        raise BadItem(f"item {item.id!r} has a vector of length {norm:.6f}, expected 1; divide it by its length")
    return vector
