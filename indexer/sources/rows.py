"""Rows of tables, and the inputs that they become."""

import base64
import binascii
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from oneword.engine.texts import MAX_BYTES, is_blank
from oneword.indexer.entry import Entry, Problem, Reference, failed, id_of
from oneword.indexer.sources.metadata import as_kind, is_missing
from oneword.indexer.sources.place import LocalPlace, Place, is_uri, may_reference, printable, reason_of
from oneword.storage import Metadata
from oneword.storage.metadata import Kind

MAJORITY = 0.9
"""Share of a column's values that decides its kind: one 'ca. 1900' does not turn all years into texts."""

MAX_ID = 512
"""Longest id, in characters: it is written into every index and every report."""

_ROUNDED = re.compile(r"[0-9][.,]?[0-9]*[eE]\+[0-9]{2}")  # a long number after a spreadsheet
_DATA_URI = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)


class BadCell(Exception):
    """A cell or member that makes its row or sample unusable. kind: of the `Problem`."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """The value of a cell that cannot be read, and why."""

    reason: str


class Row(NamedTuple):
    """A row's cells by column; or a problem of the row, or of all rows that would follow.

    number: from 1 on; None where the problem is the whole file's.
    """

    number: int | None
    cells: Mapping[str, object] = MappingProxyType({})
    problem: Problem | None = None


@dataclass(kw_only=True)
class Survey:
    """What the columns of one or several tables hold, in the order of their first appearance."""

    kinds: dict[str, Counter[Kind]] = field(default_factory=dict)
    """The number of values of each kind."""
    unfit: set[str] = field(default_factory=set)
    """Columns with values that metadata cannot be: bytes, structs, lists of anything but strings."""
    rows: int | None = 0
    """The number of rows, bad ones included; None: unknown."""

    def add(self, other: "Survey") -> None:
        """Adds another table's columns."""
        for name, kinds in other.kinds.items():
            self.kinds.setdefault(name, Counter()).update(kinds)
        self.unfit |= other.unfit
        self.rows = None if self.rows is None or other.rows is None else self.rows + other.rows

    def kind(self, column: str) -> Kind | None:
        """The kind of nearly all of a column's values, else "string"; None: it has no values."""
        kinds = self.kinds.get(column, Counter())
        for kind, count in kinds.most_common(1):
            return kind if count >= MAJORITY * kinds.total() else "string"
        return None


@dataclass(frozen=True)
class Table(ABC):
    """A file, or several that are one, with rows of named columns.

    Args:
        place: where it is; relative paths in it begin in its folder.
        extra: metadata of all its rows.
    """

    place: Place
    extra: Mapping[str, Metadata] = field(default_factory=dict, kw_only=True)

    @property
    def uri(self) -> str:
        """The URI that the ids and origins of its rows begin with."""
        return self.place.uri

    @property
    def count(self) -> int | None:
        """The number of rows, where it is cheap to know. Raises BadSource, OSError."""
        return None

    def columns(self) -> list[str]:
        """The distinct names of its columns. Raises BadSource, OSError."""
        return list(self.survey().kinds)

    @abstractmethod
    def survey(self) -> Survey:
        """Reads as much as it takes to know what the columns hold. Raises BadSource, OSError."""

    @abstractmethod
    def rows(self, columns: Collection[str]) -> Iterator[Row]:
        """All rows in order, with those of the columns that exist; damage is a row with a problem."""

    @staticmethod
    def damaged(place: Place, number: int, error: Exception) -> Row:
        """The row that stands for what cannot be read after row `number`."""
        reason = f"{place}: damaged after row {number:,} ({reason_of(error)}); write it again"
        return Row(number=None, problem=Problem(kind="DamagedFile", reason=reason))


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which columns are the id, the text, the image and metadata; there is a text, an image or both."""

    id: str | None
    text: str | None
    image: str | None
    metadata: tuple[str, ...]

    def __str__(self) -> str:
        named = {"id": self.id, "text": self.text, "image": self.image}
        return ", ".join(f"{role}: {name!r}" if name else f"no {role}" for role, name in named.items())


@dataclass(frozen=True, kw_only=True)
class RowMapping:
    """How the rows of one table become entries.

    Args:
        keys: the metadata key and kind of each column that becomes metadata.
        schemes: of object stores that cells may name.
    """

    table: Table
    roles: Roles
    keys: Mapping[str, tuple[str, Kind]]
    schemes: tuple[str, ...] = ()

    def entries(self) -> Iterator[Entry]:
        """The input that each row is, or its problem. Raises BadSource, OSError."""
        uri, folder = self.table.uri, self.table.place.parent
        columns = {*self.keys, *(one for one in (self.roles.id, self.roles.text, self.roles.image) if one)}
        for row in self.table.rows(columns):
            origin = uri if row.number is None else f"{uri}#row={row.number}"
            if row.problem:
                yield failed(origin, row.problem.kind, row.problem.reason)
                continue
            try:
                if self.roles.id is None:
                    key = id_of(origin)
                else:
                    key = id_in(row.cells.get(self.roles.id), self.roles.id)
                    origin = f"{uri}#id={quote(key, safe='')}"
                yield self._entry(row, key, origin, folder)
            except BadCell as error:
                yield failed(origin, error.kind, f"{self.table.place}, row {row.number:,}: {error}")

    def _entry(self, row: Row, key: str, origin: str, folder: Place) -> Entry:
        text, image = None, None
        if self.roles.text is not None:
            text = _text(row.cells.get(self.roles.text), self.roles.text)
        if self.roles.image is not None:
            try:
                image = _image(row.cells.get(self.roles.image), folder, self.schemes)
            except BadCell as error:
                raise BadCell(error.kind, f"{self.roles.image!r} {error}") from error
        if text is None and image is None:
            named = " and ".join(repr(one) for one in (self.roles.text, self.roles.image) if one)
            raise BadCell("EmptyRow", f"nothing in {named}, expected a text or an image; fill it in")
        place = image.uri if isinstance(image, Reference) else origin
        return Entry(id=key, uri=place, origin=origin, image=image, text=text, metadata=self._metadata(row))

    def _metadata(self, row: Row) -> dict[str, Metadata]:
        found: dict[str, Metadata] = {}
        for column, (key, kind) in self.keys.items():
            value = row.cells.get(column)
            if isinstance(value, Unreadable):
                raise BadCell("BadRow", f"{column!r} cannot be read ({value.reason})")
            if (converted := as_kind(value, kind)) is not None:
                found[key] = converted
            elif not is_missing(value) and isinstance(value, str | int | float | Decimal | datetime):
                found[key] = str(as_kind(value, "string"))  # of another kind than its key, see `metadata.fit`
        return {**found, **self.table.extra}


def id_in(value: object, column: str) -> str:
    """The id that a cell holds. Raises BadCell."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # pandas turns whole numbers into floats where one is missing
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadCell("BadId", f"the id in {column!r} is {_shown(value)}, expected a text or a whole number")
    key = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if _ROUNDED.fullmatch(key):
        reason = f"the id in {column!r} is {key!r}, a number that lost its digits; export ids as text"
        raise BadCell("BadId", reason)
    if not key.strip() or printable(key) != key or len(key) > MAX_ID:
        what = f"is {len(key):,} characters long" if len(key) > MAX_ID else f"is {_shown(value)}"
        raise BadCell("BadId", f"the id in {column!r} {what}, expected 1 to {MAX_ID} characters of Unicode text")
    return key


def _text(value: object, column: str) -> str | None:
    match value:
        case None | str():
            pass
        case bytes():
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise BadCell("BadText", f"the bytes in {column!r} are not UTF-8: {error}") from error
        case list() if all(isinstance(one, str | None) for one in value):
            value = "\n".join(one for one in value if one)  # several captions of one image
        case float() if not math.isfinite(value):
            return None  # how tables write a missing value
        case bool() | int() | float() | Decimal():
            value = as_kind(value, "string")
        case Unreadable():
            raise BadCell("BadText", f"{column!r} cannot be read ({value.reason})")
    if value is not None and not isinstance(value, str):
        raise BadCell("BadText", f"{column!r} is {_shown(value)}, expected a text")
    if value is None or is_blank(value):
        return None
    if len(value) > MAX_BYTES:
        raise BadCell("BadText", f"{column!r} is longer than {MAX_BYTES:,} characters; split it")
    return value


def _image(cell: object, folder: Place, schemes: Collection[str]) -> bytes | Reference | None:
    """Bytes, Hugging Face's `{bytes, path}`, a data URI, a URL, a URI, or a path that begins in `folder`."""
    match cell:
        case None | b"":
            return None
        case bytes():
            return cell
        case {"bytes": bytes() as data} if data:
            return data
        case {"path": str() as path} if path:
            return _image(path, folder, schemes)
        case {"bytes": None | b"", **rest} if not rest.get("path"):
            return None
        case str():
            return _referenced(cell.strip(), folder, schemes) if cell.strip() else None
        case Unreadable():
            raise BadCell("BadImage", f"cannot be read ({cell.reason})")
    expected = "expected bytes, a data URI, a URL, a path, or a struct with 'bytes' or 'path'"
    raise BadCell("BadImage", f"is {_shown(cell)}, {expected}")


def _referenced(cell: str, folder: Place, schemes: Collection[str]) -> bytes | Reference:
    if cell[:5].lower() == "data:":
        return _data(cell)
    if "\0" in cell or printable(cell) != cell:
        raise BadCell("BadImage", f"is {_shown(cell)}, which no path or URL can be")
    if is_uri(cell):
        if not may_reference(cell, folder, schemes):
            expected = (
                "expected a URL (http, https) or a path; an object store other than the table's own is read if "
                "--allow-scheme names its scheme"
            )
            raise BadCell("BadImage", f"is {_shown(cell)}, {expected}")
        return Reference(uri=cell.replace(" ", "%20") if cell[:4].lower() == "http" else cell)
    if PurePosixPath(cell).is_absolute() and not isinstance(folder, LocalPlace):
        where = f"in a table at {folder}"
        raise BadCell("BadImage", f"is the absolute path {_shown(cell)} {where}; write a whole URI")
    return Reference(uri=folder.child(cell if "/" in cell else f"./{cell}").uri)


def _data(cell: str) -> bytes:
    """The content of a data URI (RFC 2397)."""
    head = _DATA_URI.match(cell)
    if head is None:
        raise BadCell("BadImage", f"is {_shown(cell)}, expected a comma in a data URI")
    data = unquote_to_bytes(cell[head.end() :])
    if head[1].lower().endswith(";base64"):
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise BadCell("BadImage", f"is a data URI whose base 64 is broken ({error})") from error
        if not data:
            raise BadCell("BadImage", "is a data URI without data")
    return data


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
