"""Exports a collection, whole: to Parquet, to NumPy, and to what other databases take."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oneword.storage.collection import Collection
from oneword.storage.config import Target
from oneword.storage.durability import replacing
from oneword.storage.errors import StoreUnavailable
from oneword.storage.formats import FOREIGN_ID
from oneword.storage.info import Exported
from oneword.storage.item import Item
from oneword.storage.schema import ITEM_COLUMNS, META, SPACE_KEY, STAMP, TYPES, metadata_kinds, to_items, vectors_of
from oneword.storage.snapshot import Snapshot
from oneword.storage.table import Table

ROWS = 1024  # read at once by an export
GROUP_BYTES = 32 * 2**20
"""Rows are gathered to this many bytes before they are written as one row group; bounds the memory."""
STALE = 3600.0  # seconds without a write after which an unfinished export is taken for that of a dead process


SUFFIXES: Mapping[Target, str] = {"parquet": ".parquet", "npy": ".npy", "qdrant": ".jsonl", "milvus": ".json"}

POINTS = uuid.UUID("1c4a8a25-6a2e-5d55-9f0c-5b7e0f6d2c11")
"""Namespace of the UUIDs (version 5) that items get in Qdrant, whose ids are whole numbers and UUIDs. Drawn once."""


def export_parquet(
    collection: Collection, path: str | Path, *, precision: Literal["float16", "float32"] = "float16"
) -> Exported:
    """Write all items, vectors and the space to a parquet file, or to NAME.parquet in a folder.

    The file is complete before it has its name; an existing one is replaced.

    Args:
        precision: of the vectors; the table's own is float16, so either keeps every bit.

    Raises:
        StoreUnavailable: the file cannot be written.
    """
    snapshot = collection.snapshot()
    source, columns = snapshot.schema, [name for name in snapshot.schema.names if name != STAMP]
    kind = pa.list_(pa.float16() if precision == "float16" else pa.float32(), collection.dimension)
    fields = [pa.field("vector", kind, nullable=False) if name == "vector" else source.field(name) for name in columns]
    schema = pa.schema(fields, {SPACE_KEY: source.metadata[SPACE_KEY]})
    file = export_target(path, collection.name)
    with _writing(file) as partial:
        items = _write_parquet(partial, schema, (group.cast(schema) for group in _groups(snapshot.table, columns)))
    return _exported(file, items, snapshot)


def export_npy(collection: Collection, path: str | Path) -> Exported:
    """Write all vectors to an array of NumPy, float16 (items, d), and what they are of to a Parquet file of its name.

    Both have the same order. Metadata keys are columns; thumbnails stay. Raises: as `export_parquet`.
    """
    snapshot, file = collection.snapshot(), export_target(path, collection.name, "npy")
    facts, done = file.with_suffix(".parquet"), 0
    keys = {key: kind for key, kind in metadata_kinds(snapshot.schema).items() if not key.startswith("_")}
    names = ("id", "modality", "uri", "text", "width", "height", "indexed_at")
    schema = pa.schema(
        [snapshot.schema.field(name) for name in names]
        + [pa.field(_outside(key), TYPES[kind]) for key, kind in keys.items()]
    )

    def groups(matrix: Any) -> Iterator[pa.Table]:
        nonlocal done
        for group in _groups(snapshot.table, [*names, "vector", *(META + key for key in keys)]):
            matrix[done : done + group.num_rows] = vectors_of(group)
            done += group.num_rows
            yield group.drop_columns(["vector"]).rename_columns(schema.names)

    with _writing(file) as partial, _writing(facts) as beside:
        shape = (snapshot.table.count(), collection.dimension)
        matrix = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        _write_parquet(beside, schema, groups(matrix))
        matrix.flush()
    return _exported(file, done, snapshot)


def _outside(key: str) -> str:
    """The name that a metadata key has beside an item's own fields."""
    return f"metadata_{key}" if key in (*ITEM_COLUMNS, "vector") else key


def export_json(collection: Collection, path: str | Path, target: Literal["qdrant", "milvus"]) -> Exported:
    """Write all items as JSON that another database takes: id, vector, and uri, text, modality and metadata.

    Of Qdrant one point a line, as its upsert takes them; of Milvus one array of rows, for its bulk import or insert.
    Times are ISO 8601, vectors float32. Raises: as `export_parquet`.
    """
    snapshot, file, items = collection.snapshot(), export_target(path, collection.name, target), 0
    made = _point if target == "qdrant" else _row
    between, ends = ("\n", ("", "\n")) if target == "qdrant" else (",\n", ("[\n", "\n]\n"))
    columns = [*ITEM_COLUMNS, "vector"]
    with _writing(file) as partial, partial.open("w", encoding="utf-8") as out:
        out.write(ends[0])
        for batch in snapshot.table.chunks(columns, ROWS):
            for item in to_items(batch):
                out.write((between if items else "") + json.dumps(made(item), ensure_ascii=False))
                items += 1
        out.write(ends[1])
    return _exported(file, items, snapshot)


def _point(item: Item) -> dict[str, Any]:
    point: int | str = item.id
    if item.id.isascii() and item.id.isdecimal() and str(int(item.id)) == item.id and int(item.id) < 2**64:
        point = int(item.id)
    elif not _UUID.fullmatch(item.id):
        point = str(uuid.uuid5(POINTS, item.id))
    row = _row(item)
    payload = {name: value for name, value in row.items() if name not in ("id", "vector")}
    if str(point) != item.id:
        payload[FOREIGN_ID] = item.id
    return {"id": point, "vector": row["vector"], "payload": payload}


def _row(item: Item) -> dict[str, Any]:
    assert item.vector is not None  # read with it
    metadata = {
        _outside(key): value.isoformat() if isinstance(value, datetime) else value
        for key, value in item.metadata.items()
        if not key.startswith("_")
    }
    own: dict[str, Any] = {"id": item.id, "modality": item.modality, "uri": item.uri, "text": item.text}
    own |= {"width": item.width, "height": item.height, "vector": item.vector.tolist()}
    return metadata | {name: value for name, value in own.items() if value is not None}


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def export_target(path: str | Path, name: str, target: Target = "parquet") -> Path:
    """The file that an export of the collection `name` to `path` writes."""
    path = Path(path).expanduser().absolute()
    return path / f"{name}{SUFFIXES[target]}" if path.is_dir() else path


@contextmanager
def _writing(file: Path) -> Iterator[Path]:
    """The path of a file that gets its name when it is complete."""
    try:
        for stale in file.parent.glob(f".{file.name}.*.partial"):
            if time.time() - stale.stat().st_mtime > STALE:
                stale.unlink(missing_ok=True)
        with replacing(file) as partial:
            yield partial
    except OSError as error:
        raise StoreUnavailable(str(file.parent), f"write {file.name!r}", error.strerror or error) from error


def _write_parquet(path: Path, schema: pa.Schema, groups: Iterator[pa.Table]) -> int:
    items = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)
            items += group.num_rows
    return items


def _exported(file: Path, items: int, snapshot: Snapshot) -> Exported:
    return Exported(file=str(file), items=items, version=snapshot.version, bytes=file.stat().st_size)


def _groups(table: Table, columns: list[str]) -> Iterator[pa.Table]:
    kept: list[pa.RecordBatch] = []
    for batch in table.chunks(columns, ROWS):
        kept.append(batch.select(columns))
        if sum(one.nbytes for one in kept) >= GROUP_BYTES:
            yield pa.Table.from_batches(kept)
            kept = []
    if kept:
        yield pa.Table.from_batches(kept)
