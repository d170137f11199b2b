"""Arrow IPC files and streams, a record batch at a time, and what Arrow's cells are in Python."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from oneword.indexer.entry import Problem
from oneword.indexer.sources.place import LocalPlace, Place, reason_of
from oneword.indexer.sources.tabular import NotATable, Row, Survey, Unreadable
from oneword.indexer.sources.values import distinct
from oneword.storage.metadata import Kind
from oneword.storage.schema import PANDAS, metadata_kind

DAMAGE = (pa.ArrowException, OSError, ValueError, EOFError)
"""What pyarrow raises for files that are cut or spoilt."""

BATCH = 64
"""Rows that are turned into Python's objects at once: pictures of 1 MB make 64 MB."""

_FILE = b"ARROW1"  # the format's magic, https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format


@dataclass(frozen=True, kw_only=True)
class ArrowTable:
    """One file, or several that are the parts of one table; each an IPC file or an IPC stream.

    Args:
        uri: what the rows are called by.
        parts: the files.
        labels: names of the numbers that a column holds.
    """

    uri: str
    place: Place
    parts: Sequence[Place]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int | None = None

    def columns(self) -> list[str]:
        """Of the first part; without the labels of rows that pandas writes."""
        return [name for name in distinct(self._schema.names) if not name.startswith(PANDAS)]

    @cached_property
    def _schema(self) -> pa.Schema:
        if not self.parts:
            return pa.schema([])
        try:
            with _opened(self.parts[0]) as reader:
                return named(reader.schema)
        except DAMAGE as error:
            raise NotATable(f"{self.parts[0].shown}: is no Arrow file or stream ({reason_of(error)})") from error

    def survey(self) -> Survey:
        """By the columns' types."""
        survey = survey_of(self._schema, self.count or 0)
        survey.kinds |= {name: Counter({"string": 1}) for name in self.labels if name in survey.kinds}
        survey.rows = self.count if self.parts else 0
        return survey

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        """Rows of all parts, numbered through; of a damaged part those before the damage."""
        number = 0
        for part in self.parts:
            try:
                for batch in _batches(part):
                    for cells in rows_of(batch, wanted):
                        number += 1
                        yield Row(number=number, cells=self._labelled(cells))
            except DAMAGE as error:
                reason = f"{part.shown}: damaged after row {number:,} ({reason_of(error)}); write it again"
                yield Row(number=None, problem=Problem(kind="DamagedFile", reason=reason))
                return  # the rows of later parts would be numbered otherwise once it is mended

    def _labelled(self, cells: dict[str, object]) -> dict[str, object]:
        for name, names in self.labels.items():
            value = cells.get(name)
            if isinstance(value, int):
                cells[name] = names[value] if 0 <= value < len(names) else None
        return cells


def named(schema: pa.Schema) -> pa.Schema:
    """The schema. Raises ValueError where a name is no UTF-8, which pyarrow sees only when it is asked."""
    list(schema.names)
    return schema


def survey_of(schema: pa.Schema, rows: int) -> Survey:
    """What columns hold, by their types alone."""
    survey = Survey(rows=rows)
    for name, one in zip(distinct(schema.names), schema, strict=True):
        if name.startswith(PANDAS):
            continue
        plain = _plain(one.type)
        kind: Kind | None = metadata_kind(plain)
        survey.kinds[name] = Counter({kind: max(rows, 1)} if kind else {})
        if kind is None and not pa.types.is_null(plain):
            survey.unfit.add(name)
    return survey


def rows_of(batch: pa.RecordBatch, wanted: Collection[str]) -> Iterator[dict[str, object]]:
    """The cells of each row by column: text, numbers, decimals, bools, times, bytes, lists, dicts, `Unreadable`."""
    positions = {name: at for at, name in enumerate(distinct(batch.schema.names)) if name in wanted}
    for start in range(0, batch.num_rows, BATCH):
        piece = batch.slice(start, BATCH)
        columns = {name: _cells(piece.column(at)) for name, at in positions.items()}
        for row in range(piece.num_rows):
            yield {name: cells[row] for name, cells in columns.items()}


def _cells(column: pa.Array) -> list[object]:
    try:
        return list(_converted(column).to_pylist())
    except (pa.ArrowException, ValueError, OverflowError):
        return [_cell(column.slice(at, 1)) for at in range(len(column))]


def _cell(one: pa.Array) -> object:
    try:
        return _converted(one).to_pylist()[0]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return Unreadable(reason=reason_of(error))


def _converted(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        exact = getattr(kind, "unit", "day") != "ns"  # an inexact cast of the others would wrap around what is far away
        return column.cast(pa.timestamp("us"), safe=exact).cast(pa.timestamp("us", "UTC"))
    return column.cast(pa.float64()) if pa.types.is_floating(kind) else column  # decimals stay as they are


def _plain(kind: pa.DataType) -> pa.DataType:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _batches(part: Place) -> Iterator[pa.RecordBatch]:
    with _opened(part) as reader:
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            for at in range(reader.num_record_batches):
                yield _sound(reader.get_batch(at))
        else:
            for batch in reader:
                yield _sound(batch)


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, unless it points outside its own memory. A text that is no UTF-8 is its row's problem alone."""
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            # A plain column's offsets are looked at before its texts; of others not all may have been looked at.
            if "UTF8" not in str(error) or column.type.num_fields or pa.types.is_dictionary(column.type):
                raise
    return batch


@contextmanager
def _opened(part: Place) -> Iterator[pa.RecordBatchReader | pa.ipc.RecordBatchFileReader]:
    """A reader of the file or of the stream, as it begins. Local ones are mapped, so that nothing is copied."""
    with part.open() as raw:
        start = raw.read(len(_FILE))
        raw.seek(0)
        # With roots not by its path, which may by then lead out of them.
        file = (
            pa.memory_map(str(part.path))
            if isinstance(part, LocalPlace) and part.roots is None and start
            else pa.PythonFile(raw, mode="r")
        )
        with file, (pa.ipc.open_file if start == _FILE else pa.ipc.open_stream)(file) as reader:
            yield reader
