"""Filters from text and from JSON.

The language of the command line:

    any      = all ("or" all)*
    all      = one ("and" one)*
    one      = "not" one | "(" any ")" | "exists" "(" field ")" | field test
    test     = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
             | "contains" value | ["not"] "in" "(" value ("," value)* ")" | "between" value "and" value
    value    = "quoted" | 'quoted' | number | true | false | word

Keywords ignore case. A word ends at the next space or one of ``()=!<>,"'``, so paths, dates and times need no quotes.
Inside quotes a backslash escapes a quote or another backslash, and is literal elsewhere.

JSON, in Qdrant's clauses:

    {"must": [{"field": "year", "range": {"gte": 2020}}, {"field": "tags", "any": ["beach", "sea"]}],
     "must_not": {"field": "camera", "exists": false}}

`must`: all of these; `should`: at least one of these, unless there are none; `must_not`: none of these. Each is a
condition or nested filter, or a list of them. A condition is a `field` and one test: `match` a value, `any` of a list
of values, a `range` (`gt`, `gte`, `lt`, `lte`), `exists` true or false, or `contains` a text. On a list field, `match`,
`any` and `contains` test its members. A time is an ISO string. `{}` matches everything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

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
    Not,
    Or,
    Range,
    Scalar,
    shown,
)
from oneword.storage.metadata import utc

DEEPEST = 50  # levels of brackets and "not"; far below Python's stack

_TOKEN = re.compile(
    r"""\s*(?:(?P<sign><=|>=|!=|==|[=<>(),])|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[^\s()=!<>,"']+))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KEYWORDS = ("and", "or", "not", "in", "between", "contains", "exists")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token. text: of a quoted string, without quotes; at: its position, from 0."""

    kind: Literal["sign", "quoted", "word", "end"]
    text: str
    at: int


def parse(text: str) -> Filter:
    """Parse a filter in the language above.

    Raises:
        FilterError: with the position of the mistake and what was expected there.
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.next = 0
        self.depth = 0

    def whole(self) -> Filter:
        tree = self.any()
        if self.token.kind != "end":
            raise self.failure("expected 'and', 'or' or the end")
        return tree

    def any(self) -> Filter:
        trees = [self.all()]
        while self.take("or"):
            trees.append(self.all())
        return trees[0] if len(trees) == 1 else Or(tuple(trees))

    def all(self) -> Filter:
        trees = [self.one()]
        while self.take("and"):
            trees.append(self.one())
        return trees[0] if len(trees) == 1 else And(tuple(trees))

    def one(self) -> Filter:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.failure(f"expected at most {DEEPEST} levels of brackets and 'not'")
        if self.take("not"):
            tree: Filter = Not(self.one())
        elif self.take("("):
            tree = self.any()
            self.need(")")
        elif self.take("exists"):
            self.need("(")
            tree = Exists(self.field())
            self.need(")")
        else:
            tree = self.test(self.field())
        self.depth -= 1
        return tree

    def test(self, field: str) -> Filter:
        if self.take("=") or self.take("=="):
            return Match(field, self.value())
        if self.take("!="):
            return Not(Match(field, self.value()))
        for sign, bound in (("<=", "lte"), (">=", "gte"), ("<", "lt"), (">", "gt")):
            if self.take(sign):
                return Range(field, **{bound: self.value()})
        if self.take("contains"):
            return Contains(field, self.word())
        if self.take("between"):
            low = self.value()
            self.need("and")
            return Range(field, gte=low, lte=self.value())
        negated = self.take("not")
        if self.take("in"):
            members = AnyOf(field, self.values())
            return Not(members) if negated else members
        tests = "'in'" if negated else "=, !=, <, <=, >, >=, contains, in, not in or between"
        raise self.failure(f"expected {tests}")

    def values(self) -> tuple[Scalar, ...]:
        self.need("(")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.need(")")
        return tuple(values)

    def field(self) -> str:
        token = self.token
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            raise self.failure(
                "expected a field (write metadata.name for a metadata key that is a word of the language)"
            )
        self.next += 1
        return token.text

    def word(self) -> str:
        """A value as text, whatever it looks like."""
        token = self.token
        if token.kind not in ("word", "quoted"):
            raise self.failure("expected a value")
        self.next += 1
        return token.text

    def value(self) -> Scalar:
        quoted = self.token.kind == "quoted"
        text = self.word()
        if quoted:
            return text
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if _NUMBER.fullmatch(text):
            return int(text) if text.lstrip("+-").isdigit() and len(text) < 400 else float(text)
        return text

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self, text: str) -> bool:
        """Skip the token if it is this sign or keyword."""
        found = self.token.kind in ("sign", "word") and self.token.text.lower() == text
        self.next += found
        return found

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.failure(f"expected {text!r}")

    def failure(self, expected: str) -> FilterError:
        found = "the end" if self.token.kind == "end" else repr(self.token.text)
        return self.error(f"{expected}, found {found}", self.token.at)

    def error(self, problem: str, at: int) -> FilterError:
        return FilterError(f"filter {self.text!r}, position {at}: {problem}", at)

    def _tokens(self) -> list[Token]:
        tokens: list[Token] = []
        at, end = 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                unclosed = self.text[at] in "\"'"
                problem = "this quote is never closed" if unclosed else f"{self.text[at]!r} is not expected here"
                raise self.error(f"{problem}; put a value with such characters in quotes", at)
            kind: Any = match.lastgroup
            value = match[kind]
            if kind == "quoted":
                value = re.sub(r"""\\(["'\\])""", r"\1", value[1:-1])
            tokens.append(Token(kind=kind, text=value, at=match.start(kind)))
            at = match.end()
        return [*tokens, Token(kind="end", text="", at=end)]


CLAUSES = ("must", "should", "must_not")
TESTS = ("match", "any", "range", "exists", "contains")
BOUNDS = ("gt", "gte", "lt", "lte")


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
        _known(keys, (*CLAUSES, "field"), path)
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


def parse_filter(written: str | Mapping[str, Any] | Filter) -> Filter:
    """Parse a filter from text (`year >= 2020`), or from a JSON object or its text (`{"must": ...}`).

    Raises:
        FilterError: it cannot be parsed; the message says where.
    """
    if isinstance(written, Filter):
        return written
    if not isinstance(written, str):
        return filter_from_json(written)
    if not written.lstrip().startswith("{"):
        return parse(written)
    try:
        return filter_from_json(json.loads(written))
    except json.JSONDecodeError as error:
        raise FilterError(f"filter {written!r} is not JSON: {error.msg} at position {error.pos}", error.pos) from None
    except RecursionError:
        raise FilterError("the filter's JSON nests too deep to be read; make it flatter") from None
