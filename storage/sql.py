"""Values written into Lance SQL, and the conditions made of them alone."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(text: str) -> str:
    """A string literal: standard SQL, where only a quote needs doubling and a backslash means itself."""
    return "'" + text.replace("'", "''") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """`column` is one of `values`; false for none. Text that is not Unicode equals nothing stored."""
    listed = ", ".join(quoted(value) for value in values if is_unicode(value))
    return f"{column} IN ({listed})" if listed else "false"


def none_of(column: str, values: Iterable[str]) -> str:
    """Not one_of, and true where the column is null."""
    return f"({column} IS NULL OR NOT ({one_of(column, values)}))"


def all_of(conditions: Iterable[str | None]) -> str | None:
    """Every condition given, or None if there is none."""
    given = [condition for condition in conditions if condition is not None]
    return " AND ".join(f"({condition})" for condition in given) or None


def is_unicode(text: str) -> bool:
    """Whether `text` can be UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    """`text` with what cannot be UTF-8 as backslash escapes."""
    return text.encode(errors="backslashreplace").decode()
