"""A collection as one parquet file."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.storage.durability import sync_folder
from oneword.storage.errors import StoreUnavailable
from oneword.storage.schema import SPACE_KEY, STAMP
from oneword.storage.table import Table

ROWS = 1024  # read at once
GROUP_BYTES = 32 * 2**20
"""Rows are gathered to so many bytes before they are written as one row group; bounds the memory."""
STALE = 3600.0  # seconds after which an unfinished file is a dead process's: a living one writes all the time

Precision = Literal["float16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written. file: absolute. version: of the collection."""

    file: str
    items: int
    version: int
    bytes: int


def export(table: Table, name: str, path: Path, precision: Precision) -> Exported:
    """Write every column of a snapshot to `path`, or to NAME.parquet in it if it is a folder.

    Nothing is there under that name before the file is whole; a file that is there is replaced.
    precision: of the vectors; the table's own is float16, so either keeps every bit.
    """
    file = target(path, name)
    source = table.schema()
    if STAMP in source.names:  # of a row of this table, and of no use elsewhere
        source = source.remove(source.get_field_index(STAMP))
    vector = pa.list_(pa.float16() if precision == "float16" else pa.float32(), source.field("vector").type.list_size)
    place = source.get_field_index("vector")
    schema = source.set(place, pa.field("vector", vector, nullable=False)).with_metadata(
        {SPACE_KEY: source.metadata[SPACE_KEY]}
    )
    version, items = table.version(), 0
    with _whole(file) as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(table, source.names):
            writer.write_table(group.cast(schema))
            items += group.num_rows
    return Exported(file=str(file), items=items, version=version, bytes=file.stat().st_size)


def target(path: Path, name: str) -> Path:
    """The file that an export to `path` writes."""
    path = path.expanduser().absolute()
    return path / f"{name}.parquet" if path.is_dir() else path


def _groups(table: Table, columns: list[str]) -> Iterator[pa.Table]:
    kept: list[pa.RecordBatch] = []
    for batch in table.parts(columns, ROWS):
        kept.append(batch.select(columns))
        if sum(one.nbytes for one in kept) >= GROUP_BYTES:
            yield pa.Table.from_batches(kept)
            kept = []
    if kept:
        yield pa.Table.from_batches(kept)


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file beside `file` that takes its name when the block ends, and is removed if it ends badly."""
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        for stale in file.parent.glob(f".{file.name}.*.partial"):
            if time.time() - stale.stat().st_mtime > STALE:
                stale.unlink(missing_ok=True)
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise StoreUnavailable(str(file.parent), f"write {file.name!r}", error.strerror or error) from error
    finally:
        partial.unlink(missing_ok=True)
