"""CSV and TSV, a row at a time, by the standard library's parser in its strict mode.

A quote that is never closed spoils its own row only: what the parser took while it looked for the end is given to it
again, line by line.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from oneword.indexer.entry import Problem
from oneword.indexer.sources.lines import DAMAGE, lines
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.tabular import NotATable, Row, Survey
from oneword.indexer.sources.values import distinct, kind_of_text
from oneword.storage.metadata import Kind

MAX_LINE = 16 * 2**20
"""Longest line in bytes: as long as the longest text file that is read (oneword.engine.texts.MAX_BYTES)."""

MAX_MORE = 2**20
"""Most bytes in the further lines of one row: what a quote that is never closed makes the parser read in vain."""

PLAIN = 100
"""Texts, and nothing else, after which a column's cells are taken for texts unseen."""

_TABBED = ("tsv", "tab")


LOOKED_AT = 20
"""First lines by which the separator is chosen."""

_SEP = re.compile(rb'"?sep=([^\r\n])"?[\r\n]*', re.IGNORECASE)
"""The first line by which Excel is told the separator."""


class _TooLong(Exception):
    """A row goes on for longer than any may."""


@dataclass(frozen=True, kw_only=True)
class _Record:
    line: int
    cells: list[str]
    fault: str | None = None


@dataclass(frozen=True)
class _Dialect:
    """blanks: follow each separator. named: the first line is Excel's `sep=`."""

    delimiter: str
    blanks: bool
    named: bool


class _Feed:
    """Lines for the parser, which can be given back."""

    def __init__(self, numbered: Iterator[tuple[int, bytes | None]]) -> None:
        self._numbered = numbered
        self._again: deque[tuple[int, bytes | None]] = deque()
        self.start()

    def start(self) -> None:
        """A new row begins."""
        self.taken: list[tuple[int, bytes | None]] = []
        self.undecodable: str | None = None
        self._more = 0

    def give_back(self) -> None:
        """All lines of the row but its first come again."""
        self._again.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self._numbered)
        self.taken.append((number, line))
        if line is None:
            raise _TooLong(f"a line of more than {MAX_LINE:,} bytes; put such a text into a file of its own")
        self._more += len(line) if len(self.taken) > 1 else 0
        if self._more > MAX_MORE:
            raise _TooLong(f"the row does not end within {MAX_MORE:,} bytes; is a closing quote missing?")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self.undecodable = (
                f"byte 0x{line[error.start]:02x} in line {number:,} is not UTF-8; save the table as UTF-8"
            )
            return line.decode("utf-8", "replace")


@dataclass(frozen=True)
class DelimitedTable:
    """A .csv, .tsv or .tab file, also compressed with gzip. The first row names the columns.

    delimiter: between cells; None: told by the file.
    """

    place: Place
    delimiter: str | None = None

    count: int | None = None

    @property
    def uri(self) -> str:
        """The file's."""
        return self.place.uri

    def columns(self) -> list[str]:
        """As the first row says; numbered where one comes twice."""
        return self._header[0]

    @cached_property
    def _header(self) -> tuple[list[str], "_Dialect"]:
        try:
            first = list(islice(lines(self.place, MAX_LINE), LOOKED_AT))
        except DAMAGE as error:
            raise NotATable(f"{self.place.shown}: cannot be read ({reason_of(error)})") from error
        said = _SEP.fullmatch(first[0][1] or b"") if first else None
        number, line = (first[bool(said)]) if len(first) > bool(said) else (0, b"")
        if line is None or b"\0" in line or not line.strip():
            what = "is empty" if line == b"" else f"has no names of columns in line {number:,}"
            raise NotATable(f"{self.place.shown}: {what}, expected a first row that names the columns")
        given = self.delimiter or (said and said[1].decode("latin-1"))
        delimiter = given or self._delimiter([line, *(one or b"" for _, one in first[1:])])
        # `a, b, c`: the blanks after the separators belong to it.
        parts = line.decode(errors="replace").split(delimiter)[1:]
        dialect = _Dialect(delimiter, bool(parts) and all(one.startswith(" ") for one in parts), bool(said))
        record = next(self._records(dialect))
        if record.fault:
            raise NotATable(f"{self.place.shown}: the first row, which names the columns, is spoilt: {record.fault}")
        return distinct(record.cells), dialect

    def _delimiter(self, some: Sequence[bytes]) -> str:
        """By the suffix; else the one that cuts the first lines into equally many cells, and into the most."""
        suffix = self.place.name.lower().removesuffix(".gz").rpartition(".")[2]
        if suffix in _TABBED:
            return "\t"
        texts = [one.decode(errors="replace") for one in some]
        best, most = ",", (0.0, 0)
        for delimiter in (one for one in ",;\t|" if one in texts[0]):
            try:
                rows = [len(row) for row in csv.reader(texts, delimiter=delimiter) if row]
            except csv.Error:
                continue
            fit = (rows.count(rows[0]) / len(rows), rows[0])
            if fit > most:
                best, most = delimiter, fit
        return best

    def survey(self) -> Survey:
        """Reads the whole file: a column is of a kind if all of its cells are."""
        names, dialect = self._header
        kinds: list[Counter[Kind]] = [Counter() for _ in names]
        rows = 0
        try:
            for record in self._body(dialect):
                rows += 1
                if record.fault is None and len(record.cells) == len(names):
                    for cell, found in zip(record.cells, kinds, strict=True):
                        if cell:
                            plain = found["string"] == found.total() > PLAIN
                            found["string" if plain else kind_of_text(cell) or "string"] += 1
        except DAMAGE:  # of which `rows` tells
            rows += 1
        return Survey(kinds=dict(zip(names, kinds, strict=True)), rows=rows)

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:  # noqa: ARG002 (each line is parsed whole)
        """Cells as they are written."""
        names, dialect = self._header
        number = 0
        try:
            for number, record in enumerate(self._body(dialect), 1):
                fault = record.fault
                if fault is None and len(record.cells) != len(names):
                    fault = (
                        f"has {len(record.cells)} cells, expected {len(names)} as in the first row; "
                        "put cells that hold the separator between double quotes"
                    )
                if fault is None:
                    yield Row(number=number, cells=dict(zip(names, record.cells, strict=True)))
                else:
                    where = f"{self.place.shown}, row {number:,} (line {record.line:,})"
                    yield Row(number=number, problem=Problem(kind="BadRow", reason=f"{where}: {fault}"))
        except DAMAGE as error:
            reason = f"{self.place.shown}: damaged after row {number:,} ({reason_of(error)}); write it again"
            yield Row(number=None, problem=Problem(kind="DamagedFile", reason=reason))

    def _body(self, dialect: "_Dialect") -> Iterator[_Record]:
        """All records but the first. Raises `DAMAGE`."""
        records = self._records(dialect)
        next(records, None)
        yield from records

    def _records(self, dialect: "_Dialect") -> Iterator[_Record]:
        if csv.field_size_limit() < MAX_LINE:
            csv.field_size_limit(MAX_LINE)
        feed = _Feed(islice(lines(self.place, MAX_LINE), int(dialect.named), None))
        reader = csv.reader(feed, delimiter=dialect.delimiter, skipinitialspace=dialect.blanks, strict=True)
        while True:
            feed.start()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                feed.give_back()
                yield _Record(line=feed.taken[0][0], cells=[], fault=_said(error, len(feed.taken)))
                continue
            if cells:
                yield _Record(line=feed.taken[0][0], cells=cells, fault=feed.undecodable)


def _said(error: Exception, taken: int) -> str:
    """What the parser says, of a row for which it took some lines, for people who have never seen it."""
    said = reason_of(error)
    if said == "unexpected end of data" or ("expected after" in said and taken > 1):
        return "a quote is opened and not closed in this row; close it, or double quotes inside a cell"
    if said.startswith("new-line character seen"):
        return "holds a bare carriage return outside quotes; save the table with the line ends of one system"
    if "expected after" in said:
        return f"{said}: a quote stands inside a quoted cell; double it"
    return said
