"""The seam between a table's format and what its rows mean."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from oneword.indexer.entry import Problem
from oneword.indexer.sources.place import Place
from oneword.storage.metadata import Kind

MAJORITY = 0.9
"""Share of a column's values that decide its kind: one 'ca. 1900' does not make text of all years."""


class NotATable(Exception):
    """A file is no table of its format, from its first byte on. The message names it and says what it is."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A cell that cannot be read, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, or what is wrong with it, or with all that would have come after it.

    number: from 1 on; None where a problem is the whole file's.
    cells: by column.
    """

    number: int | None
    cells: Mapping[str, object] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(kw_only=True)
class Survey:
    """What columns hold, in the order of their first appearance, of one table or of several."""

    kinds: dict[str, Counter[Kind]] = field(default_factory=dict)
    """How many values of each kind."""
    unfit: set[str] = field(default_factory=set)
    """Columns with values that metadata cannot be: bytes, structs, lists of other things than strings."""
    rows: int | None = 0
    """How many, problems included; None where that is not known."""

    def add(self, other: "Survey") -> None:
        """Takes in what another table's columns hold."""
        for name, kinds in other.kinds.items():
            self.kinds.setdefault(name, Counter()).update(kinds)
        self.unfit |= other.unfit
        self.rows = None if self.rows is None or other.rows is None else self.rows + other.rows

    def kind(self, column: str) -> Kind | None:
        """The kind of nearly all of a column's values, else strings; None where it has none."""
        kinds = self.kinds.get(column, Counter())
        for kind, count in kinds.most_common(1):
            return kind if count >= MAJORITY * kinds.total() else "string"
        return None


class Table(Protocol):
    """A file, or several that are one, with rows of named columns."""

    @property
    def uri(self) -> str:
        """What its rows are called by."""
        ...

    @property
    def place(self) -> Place:
        """Where it is; relative paths in it begin in its folder."""
        ...

    @property
    def count(self) -> int | None:
        """How many rows it has, where that is cheap to know. Raises NotATable, OSError."""
        ...

    def columns(self) -> list[str]:
        """Distinct names. Raises NotATable, OSError."""
        ...

    def survey(self) -> Survey:
        """Reads as much as it takes to know what columns hold. Raises NotATable, OSError."""
        ...

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        """All rows in their order, with the columns wanted if they are there; damage is a row with a problem."""
        ...
