"""Filters from text: the language of the command line.

    any      = all ("or" all)*
    all      = one ("and" one)*
    one      = "not" one | "(" any ")" | "exists" "(" field ")" | place | field test
    place    = "near" "(" latitude "," longitude "," distance ")" | "within" "(" south "," west "," north "," east ")"
    test     = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
             | "contains" value | ["not"] "in" "(" value ("," value)* ")" | "between" value "and" value
    value    = "quoted" | 'quoted' | number | true | false | word

A distance is a number with a unit: 500m, 5km, 3mi. Keywords ignore case. A word ends at the next space or one of
``()=!<>,"'``, so paths, dates and times need no quotes. Inside quotes a backslash escapes a quote or another backslash,
and is literal elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oneword.storage.errors import FilterError
from oneword.storage.filters.clauses import DEEPEST, filter_from_json
from oneword.storage.filters.geometry import meters
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
)

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
        elif self.tokens[self.next + 1 : self.next + 2] and self.tokens[self.next + 1].text == "(":
            tree = self.place()
        else:
            tree = self.test(self.field())
        self.depth -= 1
        return tree

    def place(self) -> Filter:
        """A call; after a field comes no bracket."""
        at, name = self.token.at, self.field().lower()
        if name not in ("near", "within"):
            raise self.error(f"{name!r} is not a function; expected near(...), within(...) or exists(...)", at)
        self.need("(")
        try:
            if name == "near":
                tree: Filter = Near(self.degrees(), self.next_degrees(), self.distance())
            else:
                tree = Within(self.degrees(), self.next_degrees(), self.next_degrees(), self.next_degrees())
        except FilterError as error:
            raise error if error.position is not None else self.error(str(error), at) from None
        self.need(")")
        return tree

    def next_degrees(self) -> float:
        self.need(",")
        return self.degrees()

    def degrees(self) -> float:
        at, value = self.next, self.value()
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.next = at
            raise self.failure("expected degrees, such as 48.85")
        return float(value)

    def distance(self) -> float:
        self.need(",")
        return meters(self.word())

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
