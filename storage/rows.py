"""Rows that are imported, wherever they are: in files or in memory, read in batches as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.storage.config import KNOWN
from oneword.storage.errors import StorageError
from oneword.storage.schema import SPACE_KEY, STAMP

Read: TypeAlias = Callable[[Sequence[str], int], Iterator[pa.RecordBatch]]
"""Reads these columns from the first row on, so many rows at most in a batch."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows to import.

    Args:
        name: where they are, for messages.
        schema: of all columns.
        read: see `Read`; called at least twice.
        prefix: of the URI of a row that has none; its id follows.
        modality: of rows that have none; None: "text" where there is a text, else "image".
    """

    name: str
    schema: pa.Schema
    read: Read
    prefix: str = "urn:oneword:item:"
    modality: str | None = None

    def mapped(self, columns: Mapping[str, str], without: Sequence[str] = ()) -> Rows:
        """These rows under other names of columns.

        Args:
            columns: names of columns here, by the names that they get, such as {"vector": "embedding"}.
            without: columns to leave out.

        Raises:
            StorageError: there is no such column.
        """
        names = self.schema.names
        if absent := [one for one in (*columns.values(), *without) if one not in names]:
            raise StorageError(
                f"{self.name}: there is no column {', '.join(map(repr, absent))}; it has {', '.join(names)}"
            )
        left_out = {*without, *(one for one in columns.values() if one not in KNOWN)}
        source = {name: name for name in names if name not in left_out} | dict(columns)
        schema = pa.schema([self.schema.field(old).with_name(new) for new, old in source.items()], self.schema.metadata)

        def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
            kept = [source[one] for one in columns]
            for batch in self.read(list(dict.fromkeys(kept)), rows):
                yield pa.RecordBatch.from_arrays([batch.column(old) for old in kept], names=list(columns))

        return replace(self, schema=schema, read=read) if columns or without else self


def of_parquet(path: str | Path) -> Rows:
    """The rows of a Parquet file, or of all that lie in a folder, in the order of their names.

    Raises:
        StorageError: they cannot be read, or have different columns.
    """
    place = Path(path).expanduser().absolute()
    files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
    if not files:
        raise StorageError(f"{place}: cannot be read as parquet: there is no file *.parquet in this folder")
    schemas = {file: _schema(file) for file in files}
    schema = schemas[files[0]]
    for file, other in schemas.items():
        if not other.equals(schema):
            raise StorageError(f"{file}: has other columns than {files[0].name}; import the files one by one")

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        for file in files:
            with pq.ParquetFile(file) as source:
                yield from source.iter_batches(batch_size=rows, columns=list(columns))

    return Rows(name=str(place), schema=schema, read=read, prefix=f"{place.as_uri()}#")


def _schema(file: Path) -> pa.Schema:
    try:
        with pq.ParquetFile(file) as source:
            return source.schema_arrow
    except (OSError, pa.ArrowInvalid) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{file}: cannot be read as parquet ({reason}); expected a file like an export") from error


def of_arrow_file(path: str | Path) -> Rows:
    """The rows of an Arrow file (Feather), which is mapped into memory.

    Raises:
        StorageError: it cannot be read.
    """
    place = Path(path).expanduser().absolute()
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(place)))
    except (OSError, pa.ArrowInvalid) as error:
        raise StorageError(f"{place}: cannot be read as an Arrow file ({error})") from error

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number).select(list(columns))
            yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))

    return Rows(name=str(place), schema=reader.schema, read=read, prefix=f"{place.as_uri()}#")


def of_memory(data: Any) -> Rows:
    """The rows of what is in memory: an Arrow table, a data frame of pandas or polars, anything with Arrow's interface;
    a Hugging Face data set; an open LanceDB table, as it is now.

    Raises:
        StorageError: it is something else, or a column has no Arrow type.
    """
    kind = type(data).__name__
    if hasattr(data, "take_offsets"):
        return of_lance(data, f"LanceDB table {data.name!r}")
    if hasattr(data, "with_format") and getattr(data, "features", None) is not None and hasattr(data, "num_rows"):

        def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
            for table in data.select_columns(list(columns)).with_format("arrow").iter(batch_size=rows):
                yield from table.combine_chunks().to_batches()

        return Rows(name=f"the {kind}", schema=data.features.arrow_schema, read=read)
    if not hasattr(data, "__arrow_c_stream__"):
        raise StorageError(
            f"a {kind} cannot be imported; expected a path, an Arrow table, a data frame of pandas or polars, a "
            "Hugging Face Dataset, or an open LanceDB table"
        )
    try:
        table = pa.table(data)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise StorageError(f"the {kind}: a column has no Arrow type ({error}); convert it or leave it out") from error
    return Rows(
        name=f"the {kind}",
        schema=table.schema,
        read=lambda columns, rows: iter(table.select(list(columns)).to_batches(max_chunksize=rows)),
    )


def of_lance(table: Any, name: str) -> Rows:
    """The rows of a LanceDB table that is open."""
    schema = table.schema
    if SPACE_KEY in (schema.metadata or {}):  # a collection of ours, as if exported
        schema = pa.schema([field for field in schema if field.name != STAMP], schema.metadata)

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, total := table.count_rows(), rows):
            stretch = list(range(start, min(start + rows, total)))
            yield from table.take_offsets(stretch).select(list(columns)).to_arrow().to_batches()

    return Rows(name=name, schema=schema, read=read)
