"""The filter language of the command line.

    any      = all ("or" all)*
    all      = one ("and" one)*
    one      = "not" one | "(" any ")" | "exists" "(" field ")" | field test
    test     = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
             | "contains" value | ["not"] "in" "(" value ("," value)* ")" | "between" value "and" value
    value    = "quoted" | 'quoted' | number | true | false | word

Words of the language may be in any case. A word goes on to the next space or one of ``()=!<>,"'``,
so paths, dates and times need no quotes. Inside quotes a backslash may stand before a quote or
another backslash, and is itself elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from oneword.storage.errors import FilterError
from oneword.storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range, Scalar

DEEPEST = 50  # levels of brackets and "not": far more than anyone writes, far fewer than Python's stack

_TOKEN = re.compile(
    r"""\s*(?:(?P<sign><=|>=|!=|==|[=<>(),])|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[^\s()=!<>,"']+))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KEYWORDS = ("and", "or", "not", "in", "between", "contains", "exists")


@dataclass(frozen=True, kw_only=True)
class Token:
    """kind; text: of a quoted string, what the quotes hold; at: its position, from 0."""

    kind: Literal["sign", "quoted", "word", "end"]
    text: str
    at: int


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        FilterError: with the position of what is wrong and what was expected there.
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
        """A value taken as text, whatever it looks like."""
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
        """Step over the token if it is this sign or word of the language."""
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
            sign, quoted, word = match.group("sign", "quoted", "word")
            at = match.end()
            if sign:
                tokens.append(Token(kind="sign", text=sign, at=match.start("sign")))
            elif quoted:
                inner = re.sub(r"""\\(["'\\])""", r"\1", quoted[1:-1])
                tokens.append(Token(kind="quoted", text=inner, at=match.start("quoted")))
            else:
                tokens.append(Token(kind="word", text=word, at=match.start("word")))
        return [*tokens, Token(kind="end", text="", at=end)]
