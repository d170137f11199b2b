"""A filter as the SQL that LanceDB runs.

Three guarantees. Nothing that a caller writes can become SQL: names come from the schema, and values are quoted,
numbers or whole microseconds. A condition on a missing field is false and its Not true: Nots are pushed down to the
conditions, which then test IS NULL first; elsewhere a missing field gives NULL, which And, Or and WHERE treat as false.
(So compile the Not of a filter, and never put NOT before compiled SQL. IS NOT NULL before every condition would work
too, but makes a scalar index read every row that is not null.) And a scalar index never makes a filter slower: one that
would be slower is compiled not to use it (`pays`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, assert_never
from unicodedata import normalize

from oneword.storage.errors import FilterError
from oneword.storage.filters.geometry import near, within
from oneword.storage.filters.tree import (
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
    leaves,
    normal,
    shown,
)
from oneword.storage.metadata import Kind, kind_of, microseconds, number_of
from oneword.storage.sql import is_unicode, quoted
from oneword.storage.sql import number as literal

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

OPTIONAL: dict[str, Kind] = {"image_text": "string"}
"""Built-in fields whose column is added with the first item that has a value in it (oneword.storage.schema)."""

# Whole-number columns: LanceDB does not compare them with 2020.5 or 1e30 without a cast.
INTEGERS = ("width", "height")

# Texts that are stored as given; all others are stored in Unicode's normal form C.
AS_GIVEN = ("id", "uri", "modality", "content_hash")

# Built-in fields that storage.scalar_index indexes, besides every metadata key.
INDEXED = ("id", "modality", "content_hash", "indexed_at")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field. name: as in the filter; column: quoted for SQL; indexed: a large collection has a scalar index on it;
    rest: of a number, the column of differences from its float64 (oneword.storage.schema.REST), if any."""

    name: str
    column: str
    kind: Kind
    indexed: bool
    rest: str | None = None


class Fields:
    """The fields of one collection."""

    def __init__(self, schema: pa.Schema) -> None:
        """schema: of the collection's table."""
        from oneword.storage.schema import META, REST, metadata_kinds  # imports pyarrow, which parsing does not need

        self._metadata, self._prefix, self._rest = metadata_kinds(schema), META, REST
        self._columns = frozenset(schema.names)
        self._own = BUILTINS | {name: kind for name, kind in OPTIONAL.items() if name in self._columns}

    def __getitem__(self, name: str) -> Field:
        """The field of that name.

        Raises:
            FilterError: there is none; the message lists those there are.
        """
        if name in self._own:
            return Field(name=name, column=f"`{name}`", kind=self._own[name], indexed=name in INDEXED)
        key = name.removeprefix("metadata.")
        if key not in self._metadata:
            keys = [key for key in self._metadata if not key.startswith("_")]  # the indexer's own are hidden
            known = [*self._own, *(f"metadata.{key}" if key in self._own else key for key in keys)]
            raise FilterError(f"no field {shown(name)} in this collection; it has {', '.join(known)}")
        rest = f"`{self._rest}{key}`" if self._rest + key in self._columns else None
        return Field(name=name, column=f"`{self._prefix}{key}`", kind=self._metadata[key], indexed=True, rest=rest)


_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

# False, at no cost, and in no index: LanceDB uses indexes for an OR only if they answer both of its sides.
_WITHOUT_INDEX = "_rowid < 0"


def compile(filter: Filter, schema: pa.Schema) -> str:  # noqa: A001, A002 - re.compile's precedent
    """The condition in Lance SQL.

    schema: of the collection's table, which has the metadata keys with their kinds.

    Raises:
        FilterError: an unknown field (the message lists the known ones), a value not of its field's kind, or a filter
            beyond the bounds of storage.filters.tree.
    """
    compiler, tree = _Compiler(Fields(schema)), normal(filter)
    sql = compiler.sql(tree)
    return sql if compiler.pays(tree) else f"(({sql}) OR {_WITHOUT_INDEX})"


class _Compiler:
    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def sql(self, tree: Filter) -> str:
        """The SQL of a normal tree. AND binds tighter than OR: only an Or within an And needs brackets."""
        match tree:
            case And(filters):
                parts = [f"({self.sql(one)})" if isinstance(one, Or) else self.sql(one) for one in filters]
                return " AND ".join(parts) or "true"
            case Or(filters):
                return " OR ".join(map(self.sql, filters)) or "false"
            case Not(inner):
                column, test = self.test(inner)
                return f"{column} IS NULL" if isinstance(inner, Exists) else f"({column} IS NULL OR NOT ({test}))"
        return f"({self.test(tree)[1]})"

    def pays(self, tree: Filter) -> bool:
        """Whether scalar indexes, if there are any, are faster than a scan of the columns, whatever they find.

        They are if they answer the whole filter, and it has strings or lists (200,000 rows: two to five times as fast).
        A part that they do not answer is read row by row from what they found, up to three times slower; and a scan of
        numbers, times or bools is as fast as their index (DECISIONS.md has the figures).
        """
        heavy = False
        for leaf, negated in leaves(tree):
            if isinstance(leaf, Near | Within):
                return False
            field = self.fields[leaf.field]  # type: ignore[attr-defined]
            texts = field.kind == "string" and isinstance(leaf, Contains)
            lists = field.kind == "list of strings" and (negated or isinstance(leaf, Exists))
            if texts or lists or not field.indexed or field.rest:
                return False
            heavy |= field.kind in ("string", "list of strings")
        return heavy

    def test(self, leaf: Filter) -> tuple[str, str]:
        """The column of a condition, and the condition, which is NULL where the column is."""
        match leaf:
            case Exists(name):
                column = self.fields[name].column
                return column, f"{column} IS NOT NULL"
            case Match(name, value):
                return self.equal(self.fields[name], (value,))
            case AnyOf(name, values):
                return self.equal(self.fields[name], values)
            case Range(name):
                return self.range(self.fields[name], leaf)
            case Contains(name, value):
                return self.contains(self.fields[name], value)
            case Near() | Within():
                return self.place(leaf)
        raise FilterError(f"{leaf!r} is not a filter; expected one of storage.filters")

    def place(self, leaf: Near | Within) -> tuple[str, str]:
        """The column is a sum: it is NULL where one of the two fields is."""
        found = [self.fields[name] for name in ("latitude", "longitude")]
        if wrong := [f"{one.name!r} holds a {one.kind}" for one in found if one.kind != "number"]:
            raise FilterError(f"field {wrong[0]}: 'near' and 'within' expect numbers in latitude and longitude")
        columns = [one.column for one in found]
        test = near(leaf, *columns) if isinstance(leaf, Near) else within(leaf, *columns)
        return f"({' + '.join(columns)})", test

    def equal(self, field: Field, values: tuple[Scalar, ...]) -> tuple[str, str]:
        """The field equals one of the values, or a member of the list does."""
        if field.kind == "list of strings":
            members = [f"array_has({field.column}, {_literal(field, value)})" for value in values]
            return field.column, " OR ".join(members) or "false"
        beyond = [value for value in values if _is_beyond(field, value)]
        if beyond:
            within = self.equal(field, tuple(value for value in values if value not in beyond))[1]
            return field.column, " OR ".join([within, *(_exactly(field, value) for value in beyond)])
        literals = [literal for value in values for literal in _literals(field, value)]
        if len(literals) == 1:
            return field.column, f"{_operand(field)} = {literals[0]}"
        return field.column, f"{_operand(field)} IN ({', '.join(literals)})" if literals else "false"

    def range(self, field: Field, tree: Range) -> tuple[str, str]:
        bounds = {sign: getattr(tree, name) for name, sign in _SIGNS.items() if getattr(tree, name) is not None}
        if not bounds:
            raise FilterError(f"the range on {field.name!r} has no bound, expected gt, gte, lt or lte")
        if field.kind == "bool":
            raise FilterError(f"field {field.name!r} holds true or false, which have no order; use =")
        if field.kind == "list of strings":
            raise FilterError(
                f"field {field.name!r} holds lists of strings, which have no order: {next(iter(bounds))!r} does not "
                "apply; use = or 'in', which ask for members"
            )
        tests = [_compared(field, sign, value) for sign, value in bounds.items()]
        return field.column, " AND ".join(tests)

    def contains(self, field: Field, value: str) -> tuple[str, str]:
        if field.kind not in ("string", "list of strings") or not isinstance(value, str):
            raise FilterError(
                f"field {field.name!r} holds a {field.kind}, and the value is {shown(value)}: 'contains' expects text, "
                "and a field of strings or lists of strings; use = instead"
            )
        if field.kind == "list of strings":
            return self.equal(field, (value,))
        tests = [f"contains(lower({field.column}), lower({literal}))" for literal in _literals(field, value)]
        return field.column, " OR ".join(tests)


EXACT = 2**53
"""Up to which a float64 holds every whole number."""


def _is_beyond(field: Field, value: Scalar) -> bool:
    """Whether a value is a number whose float64 may be that of other whole numbers, too."""
    return field.kind == "number" and isinstance(value, int | float) and not abs(value) < EXACT


def _literals(field: Field, value: Scalar) -> list[str]:
    """The value; for text that is stored as given (ids and URIs), also its normal forms."""
    if field.name not in AS_GIVEN or not isinstance(value, str):
        return [_literal(field, value)]
    return [_quoted(one) for one in dict.fromkeys((value, normalize("NFC", value), normalize("NFD", value)))]


def _exactly(field: Field, value: Scalar) -> str:
    """A number equals `value` exactly."""
    literal = _literal(field, value)
    rest = number_of(value)[1]  # type: ignore[arg-type]
    if field.rest is None:
        return f"{_operand(field)} = {literal}" if rest == 0 else "false"
    return f"({_operand(field)} = {literal} AND coalesce({field.rest}, 0) = {rest})"


def _compared(field: Field, sign: str, value: Scalar) -> str:
    """A comparison with `value`; numbers that round to the same float64 are compared by their rests."""
    literal = _literal(field, value)
    if not _is_beyond(field, value):
        return f"{_operand(field)} {sign} {literal}"
    rest = number_of(value)[1]  # type: ignore[arg-type]
    same = f"coalesce({field.rest}, 0) {sign} {rest}" if field.rest else "true" if _holds(0, sign, rest) else "false"
    return f"({_operand(field)} {sign[0]} {literal} OR ({_operand(field)} = {literal} AND {same}))"


def _holds(left: int, sign: str, right: int) -> bool:
    return {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[sign]


def _operand(field: Field) -> str:
    return f"CAST({field.column} AS DOUBLE)" if field.name in INTEGERS else field.column


def _literal(field: Field, value: Scalar) -> str:
    """`value` as SQL, to compare with the field or with a member of its list."""
    kind = "string" if field.kind == "list of strings" else field.kind
    given = kind_of(value)
    if kind == "time" and isinstance(value, str):
        try:
            value, given = datetime.fromisoformat(value), "time"
        except ValueError:
            raise FilterError(
                f"field {field.name!r} holds times; expected one such as 2024-05-31, found {shown(value)}"
            ) from None
    if given != kind:
        hint = f'; write "{shown(value)}" in quotes' if given in ("number", "bool") and kind == "string" else ""
        raise FilterError(
            f"field {field.name!r} holds a {field.kind}, but the filter compares it with a "
            f"{given or type(value).__name__}, {shown(value)}{hint}"
        )
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(field.name, value)
        case str():
            return _quoted(value if field.name in AS_GIVEN else normalize("NFC", value))
        case datetime():
            return f"to_timestamp_micros({microseconds(value)})"
    assert_never(value)


def _number(name: str, value: float) -> str:
    try:
        nearest, _ = number_of(value)
    except ValueError as error:
        raise FilterError(f"field {name!r} is compared with {shown(value)}: {error}") from None
    return literal(nearest)


def _quoted(text: str) -> str:
    if not is_unicode(text):
        raise FilterError(f"the value {shown(text)} is not Unicode text; remove the lone surrogate in it")
    return quoted(text)
