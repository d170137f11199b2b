"""Exports a collection, whole, as a parquet file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.storage.collection import Collection
from oneword.storage.durability import replacing
from oneword.storage.errors import StoreUnavailable
from oneword.storage.info import Exported
from oneword.storage.schema import SPACE_KEY, STAMP
from oneword.storage.table import Table

ROWS = 1024  # read at once by an export
GROUP_BYTES = 32 * 2**20
"""Rows are gathered to this many bytes before they are written as one row group; bounds the memory."""
STALE = 3600.0  # seconds without a write after which an unfinished export is taken for that of a dead process


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
    snapshot, file = collection.snapshot(), export_target(path, collection.name)
    source, columns = snapshot.schema, [name for name in snapshot.schema.names if name != STAMP]
    kind = pa.list_(pa.float16() if precision == "float16" else pa.float32(), collection.dimension)
    fields = [pa.field("vector", kind, nullable=False) if name == "vector" else source.field(name) for name in columns]
    schema, items = pa.schema(fields, {SPACE_KEY: source.metadata[SPACE_KEY]}), 0
    try:
        for stale in file.parent.glob(f".{file.name}.*.partial"):
            if time.time() - stale.stat().st_mtime > STALE:
                stale.unlink(missing_ok=True)
        with replacing(file) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for group in _groups(snapshot.table, columns):
                writer.write_table(group.cast(schema))
                items += group.num_rows
    except OSError as error:
        raise StoreUnavailable(str(file.parent), f"write {file.name!r}", error.strerror or error) from error
    return Exported(file=str(file), items=items, version=snapshot.version, bytes=file.stat().st_size)


def export_target(path: str | Path, name: str) -> Path:
    """The file that an export of the collection `name` to `path` writes."""
    path = Path(path).expanduser().absolute()
    return path / f"{name}.parquet" if path.is_dir() else path


def _groups(table: Table, columns: list[str]) -> Iterator[pa.Table]:
    kept: list[pa.RecordBatch] = []
    for batch in table.chunks(columns, ROWS):
        kept.append(batch.select(columns))
        if sum(one.nbytes for one in kept) >= GROUP_BYTES:
            yield pa.Table.from_batches(kept)
            kept = []
    if kept:
        yield pa.Table.from_batches(kept)
