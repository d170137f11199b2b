"""CSV, TSV and JSON lines, a row at a time.

CSV is parsed by the standard library in strict mode. `pyarrow.csv` cannot replace it: a quote that is never closed
silently swallows all rows after it, one byte that is not UTF-8 turns its whole column into bytes, a stray quote is lost
from its cell, and bad rows have no line numbers.
"""

import csv
import json
import re
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from oneword.indexer.entry import Problem
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.lines import DAMAGE, lines
from oneword.indexer.sources.metadata import distinct, kind_of_json, kind_of_text
from oneword.indexer.sources.place import reason_of
from oneword.indexer.sources.rows import Row, Survey, Table
from oneword.storage.metadata import Kind

MAX_CSV_LINE = 16 * 2**20
"""Longest line in bytes: as long as the longest text file that is read (oneword.engine.texts.MAX_BYTES)."""

MAX_CSV_CONTINUATION = 2**20
"""Most bytes in the further lines of one row: what the parser reads in vain after a quote that is never closed."""

MAX_JSON_LINE = 32 * 2**20
"""Longest line in bytes: an image of 24 MB in base 64."""

MAX_COLUMNS = 1_000
"""Most different keys in one JSON file: more are not columns, but data used as keys."""

PLAIN = 100
"""After this number of texts and of nothing else, all cells of a CSV column count as texts, unparsed."""

SAMPLED_LINES = 20
"""The first lines, from which the delimiter is inferred."""

_SEP = re.compile(rb'"?sep=([^\r\n])"?[\r\n]*', re.IGNORECASE)  # Excel's first line, which names the delimiter


@dataclass(frozen=True)
class TextTable(Table):
    """A file with a row a line, also compressed."""

    @abstractmethod
    def _records(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        """The line number of each row, and its cells or what is wrong with it. Raises BadSource, `DAMAGE`."""

    def _header_columns(self) -> Sequence[str]:
        """The columns that are known before any row is read."""
        return ()

    @abstractmethod
    def _kind(self, value: Any, kinds: Counter[Kind]) -> tuple[Kind | None, bool]:
        """A value's kind, None if it has none; and whether it cannot be metadata. kinds: of the column so far."""

    def survey(self) -> Survey:
        """Reads the whole file once."""
        return self._survey

    @cached_property
    def _survey(self) -> Survey:
        survey = Survey(kinds={name: Counter() for name in self._header_columns()})
        rows, fault = 0, None
        try:
            for line, record in self._records():
                rows += 1
                if isinstance(record, str):
                    fault = fault or f"line {line:,} {record}"
                    continue
                for name, value in record.items():
                    if (kinds := survey.kinds.get(name)) is None:
                        if len(survey.kinds) >= MAX_COLUMNS:
                            continue
                        kinds = survey.kinds.setdefault(name, Counter())
                    kind, unfit = self._kind(value, kinds)
                    if kind:
                        kinds[kind] += 1
                    elif unfit:
                        survey.unfit.add(name)
        except DAMAGE as error:  # `rows` yields it as a row
            fault = fault or f"cannot be read ({reason_of(error)})"
            rows += 1
        survey.rows = rows
        if fault and not survey.kinds:
            raise BadSource(f"{self.place}: no line holds a JSON object: {fault}")
        return survey

    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        number = 0
        try:
            for number, (line, record) in enumerate(self._records(), 1):
                if isinstance(record, str):
                    reason = f"{self.place}, row {number:,} (line {line:,}): {record}"
                    yield Row(number=number, problem=Problem(kind="BadRow", reason=reason))
                else:
                    yield Row(number=number, cells={name: record[name] for name in columns if name in record})
        except DAMAGE as error:
            yield self.damaged(self.place, number, error)


@dataclass(frozen=True)
class JsonLinesTable(TextTable):
    """A .jsonl or .ndjson file, or a .json file that is one. Its columns are all keys of all lines."""

    def _kind(self, value: Any, kinds: Counter[Kind]) -> tuple[Kind | None, bool]:  # noqa: ARG002
        return kind_of_json(value)

    def _records(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        for number, line in lines(self.place, MAX_JSON_LINE):
            if line is None:
                yield number, f"is longer than {MAX_JSON_LINE:,} bytes; name the image's file instead"
            elif number == 1 and line.lstrip()[:1] == b"[":
                raise BadSource(
                    f"{self.place}: is one JSON list, which would have to be read whole, expected one object a "
                    "line; convert it with `jq -c '.[]'`"
                )
            elif line.strip():
                yield number, json_object(line)


def json_object(text: bytes) -> dict[str, Any] | str:
    """The object that some JSON is, or what is wrong with it."""
    try:
        found = json.loads(text.decode())
    except UnicodeDecodeError as error:
        return f"byte 0x{text[error.start]:02x} is not UTF-8; save the file as UTF-8"
    except RecursionError:
        return "is not JSON (nested too deeply), expected one whole object"
    except ValueError as error:  # also a number of thousands of digits, of which Python says more than anyone can use
        reason = reason_of(error) if isinstance(error, json.JSONDecodeError) else "a number of thousands of digits"
        return f"is not JSON ({reason}), expected one whole object"
    return found if isinstance(found, dict) else f"is a JSON {type(found).__name__}, expected an object"


@dataclass(frozen=True)
class DelimitedTable(TextTable):
    """A .csv, .tsv or .tab file. The first row names the columns.

    A quote that is never closed spoils its own row only: the lines that the parser took in search of the closing quote
    are parsed again.

    delimiter: None: inferred from the file.
    """

    delimiter: str | None = None

    def columns(self) -> list[str]:
        return self._header[0]

    _header_columns = columns

    def _kind(self, value: Any, kinds: Counter[Kind]) -> tuple[Kind | None, bool]:
        plain = value and kinds["string"] == kinds.total() > PLAIN
        return "string" if plain else kind_of_text(value), False

    @cached_property
    def _header(self) -> tuple[list[str], Mapping[str, Any], int]:
        """The columns, the options of `csv.reader`, and how many lines come before the first row."""
        try:
            first = list(islice(lines(self.place, MAX_CSV_LINE), SAMPLED_LINES))
        except DAMAGE as error:
            raise BadSource(f"{self.place}: cannot be read ({reason_of(error)})") from error
        sep = _SEP.fullmatch(first[0][1] or b"") if first else None
        number, line = first[bool(sep)] if len(first) > bool(sep) else (0, b"")
        if line is None or b"\0" in line or not line.strip():
            what = "is empty" if line == b"" else f"has no names of columns in line {number:,}"
            raise BadSource(f"{self.place}: {what}, expected a first row that names the columns")
        given = self.delimiter or (sep and sep[1].decode("latin-1"))
        delimiter = given or self._infer_delimiter([line, *(one or b"" for _, one in first[1:])])
        cells = line.decode(errors="replace").split(delimiter)[1:]
        blanks = bool(cells) and all(one.startswith(" ") for one in cells)  # `a, b, c`
        options = {"delimiter": delimiter, "skipinitialspace": blanks}
        _, names, fault = next(self._parse(options, int(bool(sep))))
        if fault:
            raise BadSource(f"{self.place}: the first row, which names the columns, is broken: {fault}")
        return distinct(names), options, int(bool(sep))

    def _infer_delimiter(self, sample: Sequence[bytes]) -> str:
        """A tab by the suffix; else the delimiter that splits most lines into equally many cells, and into most."""
        if self.place.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")):
            return "\t"
        texts = [one.decode(errors="replace") for one in sample]
        best, best_fit = ",", (0.0, 0)
        for delimiter in (one for one in ",;\t|" if one in texts[0]):
            try:
                sizes = [len(row) for row in csv.reader(texts, delimiter=delimiter) if row]
            except csv.Error:
                continue
            fit = (sizes.count(sizes[0]) / len(sizes), sizes[0])
            if fit > best_fit:
                best, best_fit = delimiter, fit
        return best

    def _records(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        names, options, skipped = self._header
        records = self._parse(options, skipped)
        next(records, None)
        for line, cells, fault in records:
            if fault is None and len(cells) != len(names):
                fault = (
                    f"has {len(cells)} cells, expected {len(names)} as in the first row; "
                    "put cells that hold the separator between double quotes"
                )
            yield line, fault or dict(zip(names, cells, strict=True))

    def _parse(self, options: Mapping[str, Any], skipped: int) -> Iterator[tuple[int, list[str], str | None]]:
        """The line, the cells and the fault of each row that is not blank."""
        if csv.field_size_limit() < MAX_CSV_LINE:
            csv.field_size_limit(MAX_CSV_LINE)
        feed = _Feed(islice(lines(self.place, MAX_CSV_LINE), skipped, None))
        reader = csv.reader(feed, strict=True, **options)
        while True:
            feed.start_row()
            try:
                if cells := next(reader):
                    yield feed.taken[0][0], cells, feed.undecodable
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                feed.push_back()
                yield feed.taken[0][0], [], _explained(error, len(feed.taken))


class _TooLong(Exception):
    """A row is longer than any may be."""


class _Feed:
    """The decoded lines of a file, for `csv.reader`.

    taken: the number and the bytes of each line of this row.
    undecodable: which of its bytes is not UTF-8.
    """

    def __init__(self, numbered: Iterator[tuple[int, bytes | None]]) -> None:
        self._numbered = numbered
        self._pushed_back: deque[tuple[int, bytes | None]] = deque()
        self.start_row()

    def start_row(self) -> None:
        self.taken: list[tuple[int, bytes | None]] = []
        self.undecodable: str | None = None
        self._continuation = 0

    def push_back(self) -> None:
        """All lines of the row but its first come again."""
        self._pushed_back.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        number, line = self._pushed_back.popleft() if self._pushed_back else next(self._numbered)
        self.taken.append((number, line))
        if line is None:
            raise _TooLong(f"a line of more than {MAX_CSV_LINE:,} bytes; put such a text into a file of its own")
        self._continuation += len(line) if len(self.taken) > 1 else 0
        if self._continuation > MAX_CSV_CONTINUATION:
            raise _TooLong(f"the row does not end within {MAX_CSV_CONTINUATION:,} bytes; is a closing quote missing?")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            where = f"byte 0x{line[error.start]:02x} in line {number:,}"
            self.undecodable = f"{where} is not UTF-8; save the table as UTF-8"
            return line.decode("utf-8", "replace")


def _explained(error: Exception, taken: int) -> str:
    """The parser's message, after it took some lines for one row, in terms of the file."""
    message = reason_of(error)
    if message == "unexpected end of data" or ("expected after" in message and taken > 1):
        return "a quote is opened and not closed in this row; close it, or double quotes inside a cell"
    if message.startswith("new-line character seen"):
        return "holds a bare carriage return outside quotes; save the table with the line ends of one system"
    if "expected after" in message:
        return f"{message}: a quote stands inside a quoted cell; double it"
    return message
