"""Filters from JSON, and to it.

In Qdrant's clauses:

    {"must": [{"field": "year", "range": {"gte": 2020}}, {"field": "tags", "any": ["beach", "sea"]}],
     "must_not": {"field": "camera", "exists": false}}

`must`: all of these; `should`: at least one of these, unless there are none; `must_not`: none of these. Each is a
condition or nested filter, or a list of them. A condition is a `field` and one test: `match` a value, `any` of a list
of values, a `range` (`gt`, `gte`, `lt`, `lte`), `exists` true or false, or `contains` a text. On a list field, `match`,
`any` and `contains` test its members. A time is an ISO string. `{}` matches everything.

Instead of a field, a condition may be `near` a place, `{"latitude": 48.85, "longitude": 2.35, "meters": 5000}`, or
`within` a box, `{"south": 47, "west": 1, "north": 50, "east": 4}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from oneword.storage.errors import FilterError
from oneword.storage.filters.tree import (
    MOST_CONDITIONS,
    MOST_VALUES,
    And,
    AnyOf,
    Contains,
    Exists,
    Filter,
    Match,
    Near,
    Not,
    Or,
    Range,
    Scalar,
    Within,
    shown,
)
from oneword.storage.metadata import utc

DEEPEST = 50  # levels of filters, or of brackets and "not"; far below Python's stack

CLAUSES = ("must", "should", "must_not")
TESTS = ("match", "any", "range", "exists", "contains")
BOUNDS = ("gt", "gte", "lt", "lte")
PLACES: dict[str, type[Near | Within]] = {"near": Near, "within": Within}


def filter_from_json(value: object) -> Filter:
    """The filter of a JSON object, as `json.loads` returns it.

    Raises:
        FilterError: with the path of the mistake (`must[2].range.gt`), what was expected, and what was found.
    """
    return _Reader().filter(value, path="", depth=1)


def filter_to_json(tree: Filter) -> dict[str, Any]:
    """A JSON object of the same meaning: `filter_from_json(filter_to_json(tree))` finds what `tree` finds.

    Raises:
        FilterError: it contains something that is not a filter, or nests too deep.
    """
    return _written(tree, 1)


class _Reader:
    def __init__(self) -> None:
        self.filters = 0
        self.values = 0

    def filter(self, value: object, *, path: str, depth: int) -> Filter:
        """A condition or clauses."""
        if depth > DEEPEST:
            raise _failure(path, f"at most {DEEPEST} levels of filters", "one more")
        self.filters += 1
        if self.filters > MOST_CONDITIONS:
            raise _failure(path, f"at most {MOST_CONDITIONS} conditions and filters", "one more")
        keys = _object(value, path, "a condition or a filter of must, should and must_not")
        if "field" in keys or any(test in keys for test in TESTS):
            return self.condition(keys, path)
        for name, kind in PLACES.items():
            if name in keys:
                _known(keys, (name,), path)
                return self.place(kind, keys[name], _at(path, name))
        _known(keys, (*CLAUSES, *PLACES, "field"), path)
        parts = list(self.clause(keys, "must", path, depth))
        should = self.clause(keys, "should", path, depth)
        if should:
            parts.append(should[0] if len(should) == 1 else Or(should))
        parts += [Not(one) for one in self.clause(keys, "must_not", path, depth)]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def clause(self, keys: Mapping[str, object], name: str, path: str, depth: int) -> tuple[Filter, ...]:
        if name not in keys:
            return ()
        value, at = keys[name], _at(path, name)
        if not isinstance(value, list):
            return (self.filter(value, path=at, depth=depth + 1),)
        return tuple(self.filter(one, path=f"{at}[{index}]", depth=depth + 1) for index, one in enumerate(value))

    def condition(self, keys: Mapping[str, object], path: str) -> Filter:
        _known(keys, ("field", *TESTS), path)
        field = keys.get("field")
        if not isinstance(field, str) or not field:
            found = shown(field) if "field" in keys else "nothing"
            raise _failure(_at(path, "field"), "the name of a field", found)
        tests = [test for test in TESTS if test in keys]
        if len(tests) != 1:
            expected = f"one of {', '.join(TESTS)} beside field {shown(field)}"
            raise _failure(path, expected, " and ".join(tests) or "none")
        value, at = keys[tests[0]], _at(path, tests[0])
        match tests[0], value:
            case "match", _:
                return Match(field, self.scalar(value, at))
            case "any", list():
                return AnyOf(field, tuple(self.scalar(one, f"{at}[{index}]") for index, one in enumerate(value)))
            case "range", _:
                return self.range(field, value, at)
            case "exists", bool():
                return Exists(field) if value else Not(Exists(field))
            case "contains", str():
                return Contains(field, value)
        expected = {"any": "a list of values", "exists": "true or false", "contains": "text"}[tests[0]]
        raise _failure(at, expected, shown(value))

    def place(self, kind: type[Near | Within], value: object, path: str) -> Filter:
        names = tuple(one.name for one in fields(kind))
        given = _object(value, path, f"an object of {', '.join(names)}")
        _known(given, names, path)
        numbers: dict[str, float] = {}
        for name in names:
            number = given.get(name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise _failure(_at(path, name), "a number", shown(number) if name in given else "nothing")
            numbers[name] = number
        try:
            return kind(**numbers)
        except FilterError as error:
            raise FilterError(f"filter, {path}: {error}") from None

    def range(self, field: str, value: object, path: str) -> Filter:
        bounds = _object(value, path, "an object of gt, gte, lt and lte")
        _known(bounds, BOUNDS, path)
        if not bounds:
            raise _failure(path, "at least one of gt, gte, lt and lte", "none")
        for name, bound in bounds.items():
            if isinstance(bound, bool):
                raise _failure(_at(path, name), "text, a number or a time", shown(bound))
        return Range(field, **{name: self.scalar(bound, _at(path, name)) for name, bound in bounds.items()})

    def scalar(self, value: object, path: str) -> Scalar:
        self.values += 1
        if self.values > MOST_VALUES:
            raise _failure(path, f"at most {MOST_VALUES} values", "one more")
        if value is None:
            expected = 'a value (for items without the field, {"field": ..., "exists": false})'
        elif not isinstance(value, str | bool | int | float):
            expected = "text, a number, true or false"
        elif isinstance(value, float) and not math.isfinite(value):
            expected = "a finite number"
        else:
            return value
        raise _failure(path, expected, shown(value))


def _written(tree: Filter, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise FilterError(f"the filter nests more than {DEEPEST} levels deep; write it flatter")
    match tree:
        case And(filters):
            must = [_written(one, depth + 1) for one in filters if not isinstance(one, Not)]
            must_not = [_written(one.filter, depth + 1) for one in filters if isinstance(one, Not)]
            return {name: clause for name, clause in (("must", must), ("must_not", must_not)) if clause}
        case Or(()):
            return {"must_not": [{}]}  # an empty `should` is true, and an empty Or is false
        case Or(filters):
            return {"should": [_written(one, depth + 1) for one in filters]}
        case Not(inner):
            return {"must_not": [_written(inner, depth + 1)]}
        case Match(field, value):
            return {"field": field, "match": _plain(value)}
        case AnyOf(field, values):
            return {"field": field, "any": [_plain(value) for value in values]}
        case Range(field):
            bounds = {name: getattr(tree, name) for name in BOUNDS if getattr(tree, name) is not None}
            return {"field": field, "range": {name: _plain(value) for name, value in bounds.items()}}
        case Exists(field):
            return {"field": field, "exists": True}
        case Contains(field, value):
            return {"field": field, "contains": value}
        case Near() | Within():
            return {type(tree).__name__.lower(): asdict(tree)}
    raise FilterError(f"{tree!r} is not a filter; expected one of storage.filters")


def _plain(value: Scalar) -> str | bool | int | float:
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else utc(value)).isoformat()


def _object(value: object, path: str, expected: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _failure(path, expected, shown(value))
    return value


def _known(keys: Mapping[str, object], known: tuple[str, ...], path: str) -> None:
    for key in keys:
        if key not in known:
            raise FilterError(f"filter, {_at(path, key)[:200]}: no such key; expected one of {', '.join(known)}")


def _at(path: str, key: str) -> str:
    name = key if key.isidentifier() else repr(key)
    return f"{path}.{name}" if path else name


def _failure(path: str, expected: str, found: str) -> FilterError:
    return FilterError(f"filter{f', {path}' * bool(path)}: expected {expected}, found {found}")
