"""A filter as a tree of conditions, and its normal form.

A field is a built-in one (`sql.BUILTINS`), a metadata key, or `metadata.key` for a key that a built-in field shadows. A
condition on a field that an item lacks is false, so its Not is true: `Not(Match("camera", "X"))` also finds items
without a camera.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from oneword.storage.errors import FilterError

Scalar: TypeAlias = str | bool | int | float | datetime

# LanceDB's SQL parser fails, or runs for minutes, on nested brackets and on NOT before NOT (LanceDB 0.40: 14 levels of
# AND and OR, 24 of NOT), so SQL is made of the normal form, which has few of the former and none of the latter.
MOST_CONDITIONS = 1000  # LanceDB plans 1,000 in 0.1 s
MOST_VALUES = 10_000  # in the lists of all `in` conditions together
DEEPEST_TREE = 200  # levels as built, far below Python's stack: `&` a hundred times over is one such tree
DEEPEST_TURNS = 20  # levels of And within Or within And: 10 brackets


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
    """The field equals one of the values, or a list has one of them as a member; false for no values."""

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
    """A string field contains the value, ignoring case; a list field has it as a member, exactly."""

    field: str
    value: str


@dataclass(frozen=True)
class Near(Filter):
    """The fields `latitude` and `longitude` are at most so many meters from a place in degrees, along a great circle.

    Raises:
        FilterError: the place is not on Earth, or the distance is not positive.
    """

    latitude: float
    longitude: float
    meters: float

    def __post_init__(self) -> None:
        _check_degrees(latitude=self.latitude, longitude=self.longitude)
        if not 0 < self.meters < math.inf:
            raise FilterError(f"the distance is {shown(self.meters)} m, expected more than 0")


@dataclass(frozen=True)
class Within(Filter):
    """The fields `latitude` and `longitude` are in a box in degrees; where west is more than east, over 180 degrees.

    Raises:
        FilterError: the box is not on Earth, or its south is north of its north.
    """

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        _check_degrees(latitude=self.south, longitude=self.west)
        _check_degrees(latitude=self.north, longitude=self.east)
        if self.south > self.north:
            raise FilterError(f"the south is {self.south:g} and the north {self.north:g}: expected the lower one first")


def _check_degrees(*, latitude: float, longitude: float) -> None:
    for name, value, most in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not -most <= value <= most:
            raise FilterError(f"the {name} is {shown(value)}, expected degrees from -{most} to {most}")


@dataclass(frozen=True)
class And(Filter):
    """All of them; true for none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Or(Filter):
    """At least one of them; false for none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Not(Filter):
    """The opposite."""

    filter: Filter


def normal(tree: Filter) -> Filter:
    """An equivalent tree with Not only before a condition, no And in an And, and no Or in an Or.

    Raises:
        FilterError: it exceeds the bounds above, or contains something that is not a filter.
    """
    pushed = _Normalizer().push(tree, negated=False, depth=1)
    if _turns(pushed) > DEEPEST_TURNS:
        raise FilterError(
            f"the filter puts 'and' within 'or' within 'and' more than {DEEPEST_TURNS} levels deep; write it flatter"
        )
    return pushed


def leaves(tree: Filter) -> list[tuple[Filter, bool]]:
    """The conditions of a normal tree, each with whether it is negated."""
    match tree:
        case And(filters) | Or(filters):
            return [leaf for one in filters for leaf in leaves(one)]
        case Not(inner):
            return [(inner, True)]
    return [(tree, False)]


class _Normalizer:
    def __init__(self) -> None:
        self.conditions = 0
        self.values = 0

    def push(self, tree: Filter, *, negated: bool, depth: int) -> Filter:
        """`tree`, or its opposite, with Nots pushed down (De Morgan) and nested groups of one kind merged."""
        if depth > DEEPEST_TREE:
            raise FilterError(f"the filter nests more than {DEEPEST_TREE} levels deep; write it flatter")
        match tree:
            case Not(inner):
                return self.push(inner, negated=not negated, depth=depth + 1)
            case And(filters) | Or(filters):
                kind = And if isinstance(tree, And) != negated else Or
                merged: list[Filter] = []
                for one in filters:
                    part = self.push(one, negated=negated, depth=depth + 1)
                    merged += part.filters if isinstance(part, kind) else [part]
                if not filters:
                    self.count(tree)
                return merged[0] if len(merged) == 1 else kind(tuple(merged))
            case Match() | AnyOf() | Range() | Exists() | Contains() | Near() | Within():
                self.count(tree)
                return Not(tree) if negated else tree
        raise FilterError(f"{tree!r} is not a filter; expected one of storage.filters")

    def count(self, leaf: Filter) -> None:
        self.conditions += 1
        self.values += len(leaf.values) if isinstance(leaf, AnyOf) else 0
        if self.conditions > MOST_CONDITIONS:
            raise FilterError(f"the filter has more than {MOST_CONDITIONS} conditions; put values of one field in 'in'")
        if self.values > MOST_VALUES:
            raise FilterError(f"the filter's lists have more than {MOST_VALUES} values; ask in several requests")


def _turns(tree: Filter) -> int:
    if isinstance(tree, And | Or):
        return 1 + max(map(_turns, tree.filters), default=0)
    return 0


def shown(value: object) -> str:
    """A value for an error message, in at most 80 characters: a list may be deep, and repr refuses a very long int."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value)
    except ValueError:
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:77]}..."
