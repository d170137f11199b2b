"""How the rows of one table become entries."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from oneword.engine.texts import MAX_BYTES, is_blank
from oneword.indexer.entry import Entry, Problem, Reference, id_of
from oneword.indexer.sources.columns import Roles
from oneword.indexer.sources.picture import BadPicture, picture
from oneword.indexer.sources.place import Place
from oneword.indexer.sources.tabular import Row, Unreadable
from oneword.indexer.sources.values import as_kind, is_missing
from oneword.storage import Metadata
from oneword.storage.metadata import Kind

MAX_ID = 512
"""Longest id, in characters: it is written into every index and every report."""


_ROUNDED = re.compile(r"[0-9][.,]?[0-9]*[eE]\+[0-9]{2}")
"""What spreadsheets make of long numbers."""


class _BadCell(Exception):
    """One cell spoils its row."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a table's columns are.

    Args:
        uri, shown: the table's, for programs and for people.
        folder: where relative paths begin.
        facts: of each column that becomes metadata, its key and its kind.
        extra: metadata of all rows.
        schemes: of object stores that cells may name.
    """

    uri: str
    shown: str
    folder: Place
    roles: Roles
    facts: Mapping[str, tuple[str, Kind]]
    extra: Mapping[str, Metadata] = field(default_factory=dict)
    schemes: tuple[str, ...] = ()

    @property
    def wanted(self) -> set[str]:
        """The columns to read."""
        named = {self.roles.id, self.roles.text, self.roles.image}
        return {*self.facts, *(one for one in named if one)}

    def entry(self, row: Row) -> Entry:
        """The input that a row is, or its problem."""
        origin = self.uri if row.number is None else f"{self.uri}#row={row.number}"
        if row.problem:
            return failed(origin, row.problem)
        try:
            key, origin = self._id(row, origin)
            text = self._text(row)
            image = self._image(row)
            if text is None and image is None:
                named = " and ".join(repr(one) for one in (self.roles.text, self.roles.image) if one)
                raise _BadCell("EmptyRow", f"nothing in {named}, expected a text or a picture; fill it in")
            uri = image.uri if isinstance(image, Reference) else origin
            return Entry(id=key, uri=uri, origin=origin, image=image, text=text, metadata=self._facts(row))
        except _BadCell as error:
            return failed(origin, Problem(kind=error.kind, reason=f"{self.shown}, row {row.number:,}: {error}"))

    def _id(self, row: Row, origin: str) -> tuple[str, str]:
        """The id, and what the row is called."""
        if self.roles.id is None:
            return id_of(origin), origin
        value = row.cells.get(self.roles.id)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)  # pandas makes floats of whole numbers where one is missing
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise _BadCell(
                "BadId", f"the id in {self.roles.id!r} is {_shown(value)}, expected a text or a whole number"
            )
        key = f"{value:f}" if isinstance(value, Decimal) else str(value)
        if _ROUNDED.fullmatch(key):
            raise _BadCell(
                "BadId", f"the id in {self.roles.id!r} is {key!r}, a number that lost its digits; export ids as text"
            )
        try:
            quoted = quote(key, safe="")
        except UnicodeEncodeError:
            quoted = ""
        if not key.strip() or not quoted or len(key) > MAX_ID:
            what = f"is {len(key):,} characters long" if len(key) > MAX_ID else f"is {_shown(value)}"
            raise _BadCell(
                "BadId", f"the id in {self.roles.id!r} {what}, expected 1 to {MAX_ID} characters of Unicode text"
            )
        return key, f"{self.uri}#id={quoted}"

    def _text(self, row: Row) -> str | None:
        if self.roles.text is None:
            return None
        value = row.cells.get(self.roles.text)
        match value:
            case bytes():
                try:
                    value = value.decode()
                except UnicodeDecodeError as error:
                    raise _BadCell("BadText", f"the bytes in {self.roles.text!r} are not UTF-8: {error}") from error
            case list() if all(isinstance(one, str | None) for one in value):
                value = "\n".join(one for one in value if one)  # several captions of one picture
            case float() if not math.isfinite(value):
                value = None  # how tables say that there is nothing
            case bool() | int() | float() | Decimal():
                value = as_kind(value, "string")
            case None | str():
                pass
            case Unreadable():
                raise _BadCell("BadText", f"{self.roles.text!r} cannot be read ({value.reason})")
            case _:
                raise _BadCell("BadText", f"{self.roles.text!r} is {_shown(value)}, expected a text")
        assert value is None or isinstance(value, str)
        if value is None or is_blank(value):
            return None
        if len(value) > MAX_BYTES:
            raise _BadCell("BadText", f"{self.roles.text!r} is longer than {MAX_BYTES:,} characters; split it")
        return value

    def _image(self, row: Row) -> bytes | Reference | None:
        if self.roles.image is None:
            return None
        try:
            return picture(row.cells.get(self.roles.image), self.folder, self.schemes)
        except BadPicture as error:
            raise _BadCell("BadPicture", f"{self.roles.image!r} {error}") from error

    def _facts(self, row: Row) -> dict[str, Metadata]:
        found: dict[str, Metadata] = {}
        for column, (key, kind) in self.facts.items():
            value = row.cells.get(column)
            if isinstance(value, Unreadable):
                raise _BadCell("BadRow", f"{column!r} cannot be read ({value.reason})")
            if (fact := as_kind(value, kind)) is not None:
                found[key] = fact
            elif not is_missing(value) and isinstance(value, str | int | float | Decimal | datetime):
                found[key] = str(as_kind(value, "string"))  # of another kind than its key, see `values.fit`
        return {**found, **self.extra}


def failed(origin: str, problem: Problem) -> Entry:
    """The entry of what cannot be read."""
    return Entry(id=id_of(origin), uri=origin, origin=origin, problem=problem)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
