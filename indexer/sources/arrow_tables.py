"""Parquet files, Arrow IPC files and Arrow streams, a few rows at a time.

`pyarrow.dataset` reads no streams, reads further row groups and files ahead, and ends at the first damaged one.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.indexer.entry import Problem
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.metadata import distinct
from oneword.indexer.sources.place import LocalPlace, Place, reason_of
from oneword.indexer.sources.rows import Row, Survey, Table, Unreadable
from oneword.storage.metadata import Kind
from oneword.storage.schema import PANDAS, metadata_kind

DAMAGE = (pa.ArrowException, OSError, ValueError, EOFError)
"""What pyarrow raises for files that are truncated or corrupt."""

BATCH = 64
"""Rows converted to Python objects at once: images of 1 MB take 64 MB."""

_IPC_FILE = b"ARROW1"  # the format's magic, https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
_READ_AHEAD = 2**20  # bytes of each Parquet column; without it, pyarrow reads a row group's whole columns


@dataclass(frozen=True)
class ParquetTable(Table):
    """A .parquet file. In memory are the pages that are being read, not row groups.

    A page is as large as its writer made it: pyarrow's holds at least 1,024 values unless `write_batch_size` is
    smaller or its row group ends, so images are best written in small row groups. Measured on 3,000 images of 200 kB:
    831 MB with pages of 1,024 in one row group, 89 MB with pages of 8, 103 MB with row groups of 100.
    """

    @property
    def count(self) -> int | None:
        return sum(self._footer[1])

    @cached_property
    def _footer(self) -> tuple[pa.Schema, list[int]]:
        """The schema, and the number of rows of each row group."""
        try:
            with self._reader() as file:
                groups = file.metadata.num_row_groups
                return _checked(file.schema_arrow), [file.metadata.row_group(at).num_rows for at in range(groups)]
        except DAMAGE as error:
            raise BadSource(f"{self.place}: is not a whole Parquet file ({reason_of(error)})") from error

    def survey(self) -> Survey:
        """Looks at the columns' types alone."""
        return _survey(self._footer[0], sum(self._footer[1]))

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """Of a damaged row group the rows before the damage, and then the next row groups."""
        schema, groups = self._footer
        names = distinct(schema.names)
        # Two columns of one name cannot be asked for: then all columns are read.
        projected = [name for name in names if name in columns] if names == list(schema.names) else None
        number = 0
        for group, count in enumerate(groups):
            end = number + count
            try:
                with self._reader() as file:
                    for batch in file.iter_batches(BATCH, row_groups=[group], columns=projected, use_threads=False):
                        for cells in _cells_by_row(batch, columns):
                            number += 1
                            yield Row(number=number, cells=cells)
            except DAMAGE as error:
                rows = f"rows {number + 1:,} to {end:,} cannot be read ({reason_of(error)})"
                reason = f"{self.place}: {rows}; write the file again"
                yield Row(number=number + 1, problem=Problem(kind="DamagedFile", reason=reason))
                number = end

    @contextmanager
    def _reader(self) -> Iterator[pq.ParquetFile]:
        with (
            self.place.open() as raw,
            pa.PythonFile(raw, mode="r") as source,
            pq.ParquetFile(source, buffer_size=_READ_AHEAD, pre_buffer=False) as file,
        ):
            yield file


@dataclass(frozen=True)
class ArrowTable(Table):
    """An IPC file or stream; or several that are one table, such as a data set.

    Args:
        parts: the files, if they are not `place` alone.
        folder: the place that the table is called by, if it is not `place`.
        labels: by column, the names of the numbers that it holds.
    """

    parts: Sequence[Place] | None = None
    folder: Place | None = None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return (self.folder or self.place).uri

    @property
    def _parts(self) -> Sequence[Place]:
        return [self.place] if self.parts is None else self.parts

    @cached_property
    def _schema(self) -> pa.Schema:
        if not self._parts:
            return pa.schema([])
        try:
            with _ipc_reader(self._parts[0]) as reader:
                return _checked(reader.schema)
        except DAMAGE as error:
            raise BadSource(f"{self._parts[0]}: is not an Arrow file or stream ({reason_of(error)})") from error

    def survey(self) -> Survey:
        """Looks at the columns' types alone."""
        survey = _survey(self._schema, None if self._parts else 0)
        survey.kinds |= {name: Counter({"string": 1}) for name in self.labels if name in survey.kinds}
        return survey

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """Rows of all parts, numbered through; after damage none, as their numbers would change with its repair."""
        number = 0
        for part in self._parts:
            try:
                for batch in _batches(part):
                    for cells in _cells_by_row(batch, columns):
                        number += 1
                        yield Row(number=number, cells=self._labeled(cells))
            except DAMAGE as error:
                yield self.damaged(part, number, error)
                return

    def _labeled(self, cells: dict[str, object]) -> dict[str, object]:
        for name, names in self.labels.items():
            if isinstance(value := cells.get(name), int):
                cells[name] = names[value] if 0 <= value < len(names) else None
        return cells


def _checked(schema: pa.Schema) -> pa.Schema:
    """The schema. Raises ValueError where a name is not UTF-8, which pyarrow decodes only on access."""
    list(schema.names)
    return schema


def _survey(schema: pa.Schema, rows: int | None) -> Survey:
    """What the columns hold, by their types; without the row labels that pandas writes."""
    survey = Survey(rows=rows)
    for name, column in zip(distinct(schema.names), schema, strict=True):
        if name.startswith(PANDAS):
            continue
        plain = column.type.storage_type if isinstance(column.type, pa.BaseExtensionType) else column.type
        plain = plain.value_type if pa.types.is_dictionary(plain) else plain
        kind: Kind | None = metadata_kind(plain)
        survey.kinds[name] = Counter({kind: max(rows or 0, 1)} if kind else {})
        if kind is None and not pa.types.is_null(plain):
            survey.unfit.add(name)
    return survey


def _cells_by_row(batch: pa.RecordBatch, columns: Collection[str]) -> Iterator[dict[str, object]]:
    """Each row's cells by column: text, numbers, decimals, bools, times, bytes, lists, dicts, `Unreadable`."""
    positions = {name: at for at, name in enumerate(distinct(batch.schema.names)) if name in columns}
    for start in range(0, batch.num_rows, BATCH):
        piece = batch.slice(start, BATCH)
        columns = {name: _values(piece.column(at)) for name, at in positions.items()}
        for row in range(piece.num_rows):
            yield {name: values[row] for name, values in columns.items()}


def _values(column: pa.Array) -> list[object]:
    try:
        return list(_converted(column).to_pylist())
    except (pa.ArrowException, ValueError, OverflowError) as error:
        if len(column) == 1:
            return [Unreadable(reason=reason_of(error))]
        return [_values(column.slice(at, 1))[0] for at in range(len(column))]


def _converted(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        exact = getattr(kind, "unit", "day") != "ns"  # an unsafe cast of the others would wrap distant times around
        return column.cast(pa.timestamp("us"), safe=exact).cast(pa.timestamp("us", "UTC"))
    return column.cast(pa.float64()) if pa.types.is_floating(kind) else column  # decimals stay as they are


def _batches(part: Place) -> Iterator[pa.RecordBatch]:
    with _ipc_reader(part) as reader:
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            yield from (_validated(reader.get_batch(at)) for at in range(reader.num_record_batches))
        else:
            yield from map(_validated, reader)


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, unless it points outside its own memory. A text that is not UTF-8 is a problem of its row alone."""
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            # pyarrow checks a plain column's offsets before its texts; of others it may not have checked all.
            if "UTF8" not in str(error) or column.type.num_fields or pa.types.is_dictionary(column.type):
                raise
    return batch


@contextmanager
def _ipc_reader(part: Place) -> Iterator[pa.RecordBatchReader | pa.ipc.RecordBatchFileReader]:
    """A reader of a file or stream. Local ones are memory-mapped, so that nothing is copied."""
    with part.open() as raw:
        start = raw.read(len(_IPC_FILE))
        raw.seek(0)
        # Where there are roots, the path may lead out of them by now: only the file that was opened is safe.
        mapped = isinstance(part, LocalPlace) and part.roots is None and start
        file = pa.memory_map(part.key) if mapped else pa.PythonFile(raw, mode="r")
        with file, (pa.ipc.open_file if start == _IPC_FILE else pa.ipc.open_stream)(file) as reader:
            yield reader
