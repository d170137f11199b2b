"""What a filter may ask about: the fields of a collection, each with its column and its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oneword.storage.errors import FilterError
from oneword.storage.filters.shown import shown
from oneword.storage.metadata import Kind

if TYPE_CHECKING:
    import pyarrow as pa

BUILTINS: dict[str, Kind] = {
    "id": "string",
    "modality": "string",
    "uri": "string",
    "text": "string",
    "width": "number",
    "height": "number",
    "content_hash": "string",
    "indexed_at": "time",
}

# The whole-number columns: LanceDB will not compare them with 2020.5 or 1e30 uncast.
INTEGERS = ("width", "height")

# Texts that are stored as they were given; all others in Unicode's normal form C.
AS_GIVEN = ("id", "uri", "modality", "content_hash")

# The built-in fields that storage.scalars indexes, as it does every metadata key.
INDEXED = ("id", "modality", "content_hash", "indexed_at")


@dataclass(frozen=True, kw_only=True)
class Field:
    """name: as the filter writes it; column: quoted for SQL; indexed: a large collection has a scalar index on it;
    rest: of a number, the column of what a float64 lacks to a whole number (oneword.storage.schema.REST), if any."""

    name: str
    column: str
    kind: Kind
    indexed: bool
    rest: str | None = None


class Fields:
    """The fields of one collection."""

    def __init__(self, schema: pa.Schema) -> None:
        """schema: of the collection's table."""
        from oneword.storage.schema import (  # here: it imports pyarrow, which parsing does without
            META,
            REST,
            metadata_kinds,
        )

        self._metadata, self._prefix, self._rest = metadata_kinds(schema), META, REST
        self._columns = frozenset(schema.names)

    def __getitem__(self, name: str) -> Field:
        """The field of that name.

        Raises:
            FilterError: there is none; the message lists those there are.
        """
        if name in BUILTINS:
            return Field(name=name, column=f"`{name}`", kind=BUILTINS[name], indexed=name in INDEXED)
        key = name.removeprefix("metadata.")
        if key not in self._metadata:
            keys = [key for key in self._metadata if not key.startswith("_")]  # the indexer's own are not shown
            known = [*BUILTINS, *(f"metadata.{key}" if key in BUILTINS else key for key in keys)]
            raise FilterError(f"no field {shown(name)} in this collection; it has {', '.join(known)}")
        rest = f"`{self._rest}{key}`" if self._rest + key in self._columns else None
        return Field(name=name, column=f"`{self._prefix}{key}`", kind=self._metadata[key], indexed=True, rest=rest)
