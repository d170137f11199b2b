"""A caller's value as an error message shows it."""

from __future__ import annotations

from collections.abc import Mapping


def shown(value: object) -> str:
    """At most 80 characters, whatever it is: a list may be deep, and Python refuses to write a very long int."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value)
    except ValueError:
        return "a very large number"
    return text if len(text) <= 80 else f"{text[:77]}..."
