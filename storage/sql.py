"""Values as Lance SQL, and conditions on them."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(text: str) -> str:
    """A string literal: standard SQL, where only a quote is doubled and a backslash is literal."""
    return "'" + text.replace("'", "''") + "'"


def number(value: float) -> str:
    """A number literal, with an exponent: LanceDB parses many digits as a decimal of limited precision."""
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}e{exponent or 0}"


def one_of(column: str, values: Iterable[str]) -> str:
    """`column` is one of `values`; false for none. Text that is not Unicode equals nothing stored."""
    listed = ", ".join(quoted(value) for value in values if is_unicode(value))
    return f"{column} IN ({listed})" if listed else "false"


def is_unicode(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    """`text` with backslash escapes for what cannot be encoded as UTF-8."""
    return text.encode(errors="backslashreplace").decode()
