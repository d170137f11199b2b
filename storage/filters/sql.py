"""A filter as the SQL that LanceDB runs.

Two promises. Nothing a caller writes can become SQL: names come from the schema, and values are
quoted, numbers or whole microseconds. And no condition is ever NULL: each one says IS NOT NULL
before anything else, so a missing field makes it false and its Not true (this form, rather than
coalesce(), leaves the bare column in sight of an index).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from storage.errors import FilterError
from storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range, Scalar
from storage.metadata import Kind, kind_of, microseconds
from storage.sql import is_unicode, quoted

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
_INTEGERS = ("width", "height")
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def compile(filter: Filter, schema: pa.Schema) -> str:  # noqa: A001, A002 - re.compile's precedent
    """The condition in Lance SQL.

    schema: of the collection's table, which says what metadata there is and of what kind.

    Raises:
        FilterError: an unknown field (the message lists the known ones), or a value not of its field's kind.
    """
    from storage.schema import META, metadata_kinds  # here: it imports pyarrow, which parsing does without

    columns = {key: (f"`{META}{key}`", kind) for key, kind in metadata_kinds(schema).items()}
    return _Compiler(columns).sql(filter)


class _Compiler:
    def __init__(self, metadata: dict[str, tuple[str, Kind]]) -> None:
        self.metadata = metadata

    def sql(self, tree: Filter) -> str:
        match tree:
            case And(filters):
                return "(" + " AND ".join(map(self.sql, filters)) + ")" if filters else "true"
            case Or(filters):
                return "(" + " OR ".join(map(self.sql, filters)) + ")" if filters else "false"
            case Not(inner):
                return f"(NOT {self.sql(inner)})"
            case Exists(field):
                return f"({self.column(field)[0]} IS NOT NULL)"
            case Match(field, value):
                return self.present(field, "=", (value,), "{column} = {0}")
            case AnyOf(field, values):
                places = ", ".join(f"{{{index}}}" for index in range(len(values)))
                return self.present(field, "in", values, f"{{column}} IN ({places})") if values else "false"
            case Range(field):
                return self.range(tree)
            case Contains(field, value):
                return self.contains(field, value)
        raise FilterError(f"{tree!r} is not a filter; expected one of storage.filters")

    def range(self, tree: Range) -> str:
        bounds = {sign: getattr(tree, name) for name, sign in _SIGNS.items() if getattr(tree, name) is not None}
        if not bounds:
            raise FilterError(f"the range on {tree.field!r} has no bound, expected gt, gte, lt or lte")
        if self.column(tree.field)[1] == "bool":
            raise FilterError(f"field {tree.field!r} holds true or false, which have no order; use =")
        test = " AND ".join(f"{{column}} {sign} {{{index}}}" for index, sign in enumerate(bounds))
        return self.present(tree.field, next(iter(bounds)), tuple(bounds.values()), test)

    def contains(self, field: str, value: str) -> str:
        column, kind = self.column(field)
        if kind not in ("string", "list of strings") or not isinstance(value, str):
            raise FilterError(
                f"field {field!r} holds a {kind}, and the value is {value!r}: 'contains' expects text, "
                "and a field of strings or lists of strings; use = instead"
            )
        member = "array_has({0}, {1})" if kind == "list of strings" else "contains(lower({0}), lower({1}))"
        return f"({column} IS NOT NULL AND {member.format(column, _quoted(value))})"

    def present(self, field: str, sign: str, values: tuple[Scalar, ...], test: str) -> str:
        """`test` with the column and the values put in, false where the column is null."""
        column, kind = self.column(field)
        if kind == "list of strings":
            raise FilterError(f"field {field!r} holds lists of strings: {sign!r} does not apply; use 'contains'")
        literals = [_literal(field, kind, value) for value in values]
        operand = f"CAST({column} AS DOUBLE)" if field in _INTEGERS else column
        return f"({column} IS NOT NULL AND {test.format(*literals, column=operand)})"

    def column(self, field: str) -> tuple[str, Kind]:
        """The quoted column of a field, and its kind."""
        if field in BUILTINS:
            return f"`{field}`", BUILTINS[field]
        key = field.removeprefix("metadata.")
        if key in self.metadata:
            return self.metadata[key]
        known = [*BUILTINS, *(f"metadata.{key}" if key in BUILTINS else key for key in self.metadata)]
        raise FilterError(f"no field {field!r} in this collection; it has {', '.join(known)}")


def _literal(field: str, kind: Kind, value: Scalar) -> str:
    """`value` as SQL, for a column of `kind`."""
    given = kind_of(value)
    if kind == "time" and isinstance(value, str):
        try:
            value, given = datetime.fromisoformat(value), "time"
        except ValueError:
            raise FilterError(
                f"field {field!r} holds times; expected one such as 2024-05-31, found {value!r}"
            ) from None
    if given != kind:
        hint = f'; write "{value}" in quotes' if kind == "string" else ""
        raise FilterError(f"field {field!r} holds a {kind}, but the filter compares it with a {given}, {value!r}{hint}")
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(field, value)
        case str():
            return _quoted(value)
        case datetime():
            return f"to_timestamp_micros({microseconds(value)})"
    assert_never(value)


def _number(field: str, value: float) -> str:
    try:
        number = float(value) + 0.0  # as metadata.comparable
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FilterError(f"field {field!r} is compared with {str(value)[:40]}, expected a finite number")
    # With an exponent: LanceDB reads a long row of digits as a decimal of limited length.
    mantissa, _, exponent = repr(number).partition("e")
    return f"{mantissa}e{exponent or 0}"


def _quoted(text: str) -> str:
    if not is_unicode(text):
        raise FilterError(f"the value {text!r} is not Unicode text; remove the lone surrogate in it")
    return quoted(text)
