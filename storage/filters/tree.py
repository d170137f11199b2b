"""A filter, as a tree of conditions.

A field is a built-in one (`sql.BUILTINS`), a metadata key, or `metadata.key` for a key that a
built-in hides. A condition on a field that an item lacks is false, so its Not is true: `Not(Match("camera",
"X"))` finds the items with no camera too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Scalar: TypeAlias = str | bool | int | float | datetime


@dataclass(frozen=True)
class Filter:
    """Base of every condition; `&`, `|` and `~` combine them."""

    def __and__(self, other: Filter) -> And:
        return And((self, other))

    def __or__(self, other: Filter) -> Or:
        return Or((self, other))

    def __invert__(self) -> Not:
        return Not(self)


@dataclass(frozen=True)
class Match(Filter):
    """The field equals the value; a list has it as a member. A time field takes a datetime or an ISO date."""

    field: str
    value: Scalar


@dataclass(frozen=True)
class AnyOf(Filter):
    """The field equals one of the values, a list has one of them as a member; false when there are none."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Range(Filter):
    """The field lies within every bound given (at least one). Strings compare by code point."""

    field: str
    gt: Scalar | None = None
    gte: Scalar | None = None
    lt: Scalar | None = None
    lte: Scalar | None = None


@dataclass(frozen=True)
class Exists(Filter):
    """The item has the field."""

    field: str


@dataclass(frozen=True)
class Contains(Filter):
    """A string field has the value within it, in any case; a list field has it as a member, exactly."""

    field: str
    value: str


@dataclass(frozen=True)
class And(Filter):
    """All of them; true when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Or(Filter):
    """At least one of them; false when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Not(Filter):
    """Not this one."""

    filter: Filter
