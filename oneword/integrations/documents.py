"""What the frameworks' documents have in common: metadata of any kind, ids, and collections that do not exist yet."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from oneword.database import Collection
from oneword.query.client.errors import NotThere
from oneword.query.errors import BadQuery
from oneword.query.query import Part, Query, Vector
from oneword.query.result import Hit
from oneword.storage import CollectionNotFound, FilterError
from oneword.storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range
from oneword.storage.metadata import KEY, comparable, kind_of

ABSENT = (CollectionNotFound, NotThere)
"""A collection does not exist yet, here or behind a service: it has no items."""

ALL = Exists("id")
"""Passes every item; a service refuses to delete by a filter without conditions."""

EXTRA = "extra_json"
"""Metadata key of what Oneword's metadata cannot be, as JSON: it comes back, and no filter sees it."""

SENT = 500
"""Items of one upsert; a service takes 1,000 (query/server/limits.py)."""


def to_metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of any JSON values as Oneword's; `from_metadata` is the inverse."""
    fitting = {key: value for key, value in given.items() if _fits(key, value)}
    rest = {key: value for key, value in given.items() if key not in fitting}
    return fitting | ({EXTRA: json.dumps(rest, ensure_ascii=False, default=str)} if rest else {})


def from_metadata(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that was given to `to_metadata`."""
    rest: dict[str, Any] = json.loads(stored.get(EXTRA, "{}"))
    return {key: value for key, value in stored.items() if key != EXTRA} | rest


def _fits(key: Any, value: Any) -> bool:
    if not isinstance(key, str) or not KEY.fullmatch(key) or key.startswith("_") or key == EXTRA:
        return False
    try:
        return kind_of(value) is not None and (comparable(value), True)[1]
    except ValueError:
        return False


def store(collection: Collection, items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Upserts items. Returns their ids. Raises the error of the first that is refused; those before it are stored."""
    ids = []
    for start in range(0, len(items), SENT):
        for outcome in collection.upsert(items[start : start + SENT]).items:
            if outcome.error is not None:
                raise outcome.error
            ids.append(str(outcome.id))
    return ids


def search(collection: Collection, parts: Sequence[Part] = (), **options: Any) -> list[Hit]:
    """Hits of a query; none of a collection that does not exist yet."""
    with suppress(*ABSENT):
        return list(collection.search(Query(parts=tuple(parts), **options)))
    return []


def by_vector(values: Sequence[float]) -> tuple[Vector]:
    """A query's parts: one vector, of any length but zero."""
    return (Vector(values=[float(one) for one in values]),)


def all_of(filters: Sequence[Filter | None]) -> Filter | None:
    """Those that are there, together."""
    there = tuple(one for one in filters if one is not None)
    return And(there) if len(there) > 1 else there[0] if there else None


_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def condition(field: str, operator: str, value: Any) -> Filter:
    """A framework's comparison as a filter; an item without the field passes `!=` and `not in`, and nothing else.

    Args:
        operator: ==, !=, >, >=, <, <=, in, not in, contains.

    Raises:
        FilterError: it cannot be asked.
    """
    if operator in ("==", "!="):
        if isinstance(value, list):
            equal: Filter = And(tuple(Match(field, one) for one in value))
        else:
            equal = Not(Exists(field)) if value is None else Match(field, value)
        return equal if operator == "==" else Not(equal)
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise FilterError(f"{field} {operator} {value!r}: expected a list of values")
        among = AnyOf(field, tuple(value))
        return among if operator == "in" else Not(among)
    if operator in _BOUNDS:
        if value is None:
            return Or(())  # nothing is more or less than nothing
        if isinstance(value, list | dict | bool):
            raise FilterError(f"{field} {operator} {value!r}: expected a number, a text or a time")
        return Range(field, **{_BOUNDS[operator]: value})
    if operator == "contains":
        return Contains(field, str(value))
    raise FilterError(f"{field} {operator} {value!r}: expected ==, !=, >, >=, <, <=, in, not in or contains")


def joined(operator: str, filters: Sequence[Filter]) -> Filter:
    """Filters under "and", "or" or "not", which is true unless all of them are. Raises FilterError for another."""
    match operator.lower():
        case "and":
            return And(tuple(filters))
        case "or":
            return Or(tuple(filters))
        case "not":
            return Not(And(tuple(filters)))
    raise FilterError(f"{operator!r}: expected and, or, not")


def one_of(**given: Any) -> tuple[str, Any]:
    """The name and value of the one argument that is not None. Raises BadQuery for none or several."""
    there = [(name, value) for name, value in given.items() if value is not None]
    if len(there) != 1:
        raise BadQuery(f"expected one of {', '.join(given)}, found {', '.join(name for name, _ in there) or 'none'}")
    return there[0]
