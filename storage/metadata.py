"""Metadata values: their kinds, their exact JSON, and their form in a typed column."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from unicodedata import normalize

from oneword.storage.item import Metadata

Kind: TypeAlias = Literal["string", "number", "bool", "time", "list of strings"]

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind_of(value: object) -> Kind | None:
    """The kind of a value, or None if it cannot be metadata."""
    match value:
        case bool():  # before int, which Python counts it as
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case datetime():
            return "time"
        case list() if all(isinstance(one, str) for one in value):
            return "list of strings"
    return None


def utc(time: datetime) -> datetime:
    """`time` in UTC; a time without a zone is UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def microseconds(time: datetime) -> int:
    """Whole microseconds since 1970 UTC; exact, where a float timestamp is not."""
    since = (time if time.tzinfo else utc(time)) - EPOCH  # not all in UTC: 0001-01-01T00:00+01:00 has no UTC datetime
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


MOST_KEYS = 512
"""Most metadata keys in a collection: each is a column, which slows down every write. Keys that begin with `_`, the
indexer's own, do not count."""


def counted(keys: Iterable[str]) -> int:
    """Number of the keys that count towards `MOST_KEYS`."""
    return sum(not key.startswith("_") for key in keys)


LEAST, MOST = -(2**63), 2**64 - 1
"""Range of whole numbers: those of int64 and of uint64."""


def number_of(value: float) -> tuple[float, int]:
    """A number as its columns hold it: the nearest float64, and the difference of a whole number from it.

    Rounding preserves order, so two numbers compare as their pairs do. The second is 0 up to 2^53, and for floats.

    Raises:
        ValueError: the number is not finite, or a whole number beyond 64 bits.
    """
    if isinstance(value, int) and not LEAST <= value <= MOST:
        raise ValueError(f"it is beyond 64 bits, expected a whole number from {LEAST} to {MOST}; store it as text")
    nearest = float(value) + 0.0  # turns -0.0 into 0.0, which an index could tell apart
    if not math.isfinite(nearest):
        raise ValueError("it is not finite")
    return nearest, value - int(nearest) if isinstance(value, int) else 0


def comparable(value: Metadata) -> Any:
    """`value` as its typed column holds it: numbers as float64 (see `number_of`), times in UTC, texts in normal form C.

    Raises:
        ValueError: the number cannot be stored, or the string is not Unicode text.
    """
    match value:
        case bool():
            return value
        case int() | float():
            return number_of(value)[0]
        case str():
            value.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate
            return normalize("NFC", value)
        case datetime():
            try:
                return utc(value)
            except OverflowError:
                raise ValueError("in UTC it is before the year 1 or after 9999") from None
        case list():
            return [comparable(one) for one in value]


def dumps(metadata: Mapping[str, Metadata]) -> str:
    """Exact JSON. A time is `{"time": "..."}`: no other value is an object, so nothing is ambiguous."""

    def as_json(value: Metadata) -> Any:
        if not isinstance(value, datetime):
            return value
        return {"time": (value if value.tzinfo else utc(value)).isoformat()}

    return json.dumps({key: as_json(value) for key, value in metadata.items()}, ensure_ascii=False, allow_nan=False)


def loads(text: str) -> dict[str, Metadata]:
    """Parse what `dumps` wrote."""
    read = json.loads(text)
    return plain(read) if text.find("{", 1) > 0 else read


def plain(read: Mapping[str, Any]) -> dict[str, Metadata]:
    """Metadata from the parsed JSON of `dumps`."""
    return {
        key: datetime.fromisoformat(value["time"]) if isinstance(value, dict) else value for key, value in read.items()
    }
