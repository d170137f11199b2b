"""Metadata from cells of tables and from JSON: the kind of a column, and its values as that kind.

A key has one kind: columns are surveyed before the first row is read, and a column of mixed kinds becomes text.
"""

import json
import math
import re
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from oneword.indexer.sources.place import printable
from oneword.storage import Metadata
from oneword.storage.metadata import KEY, LEAST, MOST, MOST_KEYS, Kind, counted, kind_of, utc

SET_ASIDE = "set_aside"
"""The metadata key that keeps values that are not of their own key's kind, as texts `key: value`."""

RESERVED = 4
"""Keys that indexing adds under plain names: `set_aside`, and `document`, `chunk` and `chunks` of long texts."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,300})")  # no leading zeros: 01234 is a code
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,300})?(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?(?<=[0-9])")
_NOT_FINITE = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity"})
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9].*)?", re.DOTALL)


def kind_of_text(cell: str) -> Kind | None:
    """The strictest kind that a CSV cell can be read as; None: it is empty."""
    if not cell:
        return None
    lower = cell.lower() if len(cell) <= 9 else ""
    if lower in ("true", "false"):
        return "bool"
    if lower in _NOT_FINITE or _number(cell) is not None:
        return "number"
    return "string" if _time(cell) is None else "time"


def kind_of_json(value: Any) -> tuple[Kind | None, bool]:
    """The kind of a JSON value, None for a missing one; and whether it cannot be metadata."""
    match value:
        case None | "":
            return None, False
        case bool():
            return "bool", False
        case int():
            return ("number" if LEAST <= value <= MOST else "string"), False
        case float():
            return "number", False
        case str():
            return ("string" if _time(value) is None else "time"), False
        case list() if all(isinstance(one, str | None) for one in value):
            return "list of strings", False
    return None, True


def as_kind(value: object, kind: Kind) -> Metadata | None:
    """The value as a kind; None where it is missing, not finite, or cannot be converted."""
    if value is None or value == "":
        return None
    match kind:
        case "string":
            return _as_text(value)
        case "bool":
            if isinstance(value, str):
                return {"true": True, "false": False}.get(value.lower())
            return value if isinstance(value, bool) else None
        case "number":
            if isinstance(value, str):
                return _number(value)
            if isinstance(value, Decimal):
                return _of_decimal(value)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            if isinstance(value, int):
                return value if LEAST <= value <= MOST else None
            return value if math.isfinite(value) else None
        case "time":
            return _time(value) if isinstance(value, str) else _in_utc(value) if isinstance(value, datetime) else None
        case "list of strings":
            return [printable(one) for one in value if isinstance(one, str)] if isinstance(value, list) else None


def as_kind_of(value: Metadata, kind: Kind) -> Metadata | None:
    """Metadata as it is if it is of a kind, else converted; None where it cannot be."""
    return value if kind_of(value) == kind else as_kind(value, kind)


def is_missing(value: object) -> bool:
    """Whether a value is how tables write a missing one."""
    if isinstance(value, str):
        return not value or (len(value) <= 9 and value.lower() in _NOT_FINITE)
    return value is None or (isinstance(value, float | Decimal) and not math.isfinite(value))


def has_room(key: str, kinds: Mapping[str, Kind]) -> bool:
    """Whether a collection with these keys takes one more; it always takes the indexer's own."""
    return key.startswith("_") or key == SET_ASIDE or counted(kinds) < MOST_KEYS - RESERVED


def fit(metadata: Mapping[str, Metadata], kinds: dict[str, Kind]) -> tuple[Mapping[str, Metadata], list[str]]:
    """Metadata in which each value is of its key's kind, and the keys whose values could not be converted.

    Those values are kept as texts under the key `set_aside`, where they can be found: no input is refused for one. So
    are values of new keys once the collection has as many keys as it may.

    Args:
        kinds: of all keys so far; that of a new key is added.
    """
    if all(kinds.get(key) == kind_of(value) for key, value in metadata.items()):
        return metadata, []
    found: dict[str, Metadata] = {}
    aside: dict[str, str] = {}
    for key, value in metadata.items():
        kind = kind_of(value)
        expected = kinds.get(key)
        if expected is None and kind is not None and has_room(key, kinds):
            expected = kinds[key] = kind
        fitting = None if expected is None else as_kind_of(value, expected)
        if fitting is None:
            aside[key] = f"{key}: {_as_text(value)}"
        else:
            found[key] = fitting
    if aside:
        kinds.setdefault(SET_ASIDE, "list of strings")
        found[SET_ASIDE] = list(aside.values())
    return found, list(aside)


def keys(columns: Iterable[str]) -> dict[str, str]:
    """The metadata key of each column: its name where that is a valid key, else a similar one that no other column has.

    Keys that begin with `_` are the indexer's own.
    """
    columns = list(dict.fromkeys(columns))
    found = {name: name for name in columns if KEY.fullmatch(name) and name[0] != "_"}
    taken = set(found)
    for name in (one for one in columns if one not in taken):
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "column"
        found[name] = _numbered((f"column_{plain}" if plain[0].isdigit() else plain)[:58], taken)
        taken.add(found[name])
    return found


def distinct(names: Iterable[str]) -> list[str]:
    """Unique column names: a repeated one is numbered, and an empty one is named by its position."""
    taken: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        taken[_numbered(printable(name).strip() or f"column_{position}", taken)] = None
    return list(taken)


def _numbered(name: str, taken: Container[str]) -> str:
    """The name, with the first free number from 2 on if it is taken."""
    return name if name not in taken else next(one for n in count(2) if (one := f"{name}_{n}") not in taken)


def _as_text(value: object) -> str:
    match value:
        case str():
            return printable(value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case list():
            return json.dumps(value, ensure_ascii=True)
        case Decimal():
            return f"{value:f}"  # every digit, and no exponent
    return str(value)


def _number(cell: str) -> int | float | None:
    if _WHOLE.fullmatch(cell):
        whole = int(cell)
        return whole if LEAST <= whole <= MOST else None
    if not _DECIMAL.fullmatch(cell):
        return None
    number = float(cell)
    return number if math.isfinite(number) else None


def _of_decimal(value: Decimal) -> int | float | None:
    """The same number as a float that has all its digits, or as a whole number; None where neither exists."""
    if not value.is_finite():
        return None
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < 0 and Decimal(repr(float(value))) == value:
        return float(value)
    return int(value) if value == value.to_integral_value() and LEAST <= value <= MOST else None


def _time(cell: str) -> datetime | None:
    if not _TIME.fullmatch(cell):
        return None
    try:
        return _in_utc(datetime.fromisoformat(cell))
    except ValueError:
        return None


def _in_utc(time: datetime) -> datetime | None:
    try:
        return utc(time)
    except OverflowError:
        return None
