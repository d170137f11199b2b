"""Which of the words that an image shows are those of a query by keywords. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Set
from unicodedata import combining, normalize

EXCERPT = 300
"""Characters of the text in an image that a hit has."""

MOST = 50_000
"""Characters of a text in which words are looked for."""

_WORD = re.compile(r"\w+")


def tokens(text: str) -> frozenset[str]:
    """The words of a text without case and accents, about as the keyword index has them."""
    plain = "".join(sign for sign in normalize("NFKD", text[:MOST]) if not combining(sign))
    return frozenset(_WORD.findall(plain.casefold()))


def matches(text: str, keywords: Set[str]) -> bool:
    """Whether a text has one of the words; a single sign of a script without spaces also where it is part of one."""
    own = tokens(text)
    return not own.isdisjoint(keywords) or any(
        len(sign) == 1 and sign > "\u2e7f" and sign in word for sign in own for word in keywords
    )


def matching_line(text: str, keywords: Set[str]) -> str | None:
    """The first line of a text with one of the words; None: there is none."""
    return next((line for line in text[:MOST].splitlines() if matches(line, keywords)), None)


def excerpt(text: str, line: str | None = None) -> str:
    """At most `EXCERPT` characters of a text: from a line of it on, if it has that many more."""
    if len(text) <= EXCERPT:
        return text
    start = 0 if line is None else min(text.find(line), len(text) - EXCERPT)
    end = start + EXCERPT
    return f"{'…' * (start > 0)}{text[start:end]}{'…' * (end < len(text))}"
