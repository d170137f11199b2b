"""How much structure a JSON body may have, looked at before it is read.

A parsed body is far larger than its bytes: of 32 MiB of "[],[],[]" or of unknown names, 10 GB and a minute in which
nothing else is answered. What makes it large are its names and brackets, and every name has a colon, so they can be
counted in the bytes. Colons and brackets in texts count as well: the bound leaves room for them.
"""

from typing import Any

from pydantic_core import from_json, to_json

from oneword.query.server.problem import Problem

MOST = 500_000
"""Colons and opening brackets in a body. 1,000 items with 200 metadata each have 202,000."""

MOST_VALUES = 5_000_000
"""Commas in a body. 1,000 vectors of 4,096 numbers have 4,096,000."""

FEW = 5_000
"""So many cost nothing worth speaking of, whatever they are."""

MAX_KEYS = 1_000
"""Names in one object: five times what an item may have, the largest there is."""


def bounded(document: bytes) -> bytes:
    """A body that is safe to validate: the same, or one of the same meaning without names that are there twice.

    Raises:
        Problem: 413 if it has too much structure, 422 if one of its objects has too many names.
    """
    if len(document) > MOST_VALUES and (values := document.count(b",")) > MOST_VALUES:
        raise _too_large(f"{values:,} commas", MOST_VALUES)
    if len(document) <= FEW or (marks := sum(map(document.count, (b":", b"[", b"{")))) <= FEW:
        return document
    if marks > MOST:
        raise _too_large(f"{marks:,} colons and brackets", MOST)
    try:
        tree = from_json(document)
    except ValueError:
        return document  # whose reader says what is wrong
    _check(tree)
    return to_json(tree, inf_nan_mode="constants")


def _too_large(what: str, most: int) -> Problem:
    detail = f"the body has {what}: expected at most {most:,}"
    return Problem(413, "body_too_large", detail, remedy="Send less at a time.")


def _check(tree: Any) -> None:
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict) and len(one) > MAX_KEYS:
            raise Problem(
                422,
                "invalid_field",
                f"an object in the body has {len(one):,} names: expected at most {MAX_KEYS:,}",
                remedy="Change it as said; all fields are in /openapi.json.",
            )
        left += (inner for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list))
