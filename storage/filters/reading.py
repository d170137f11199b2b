"""A filter as somebody writes it: in words, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oneword.storage.errors import FilterError
from oneword.storage.filters.clauses import from_json
from oneword.storage.filters.parser import parse
from oneword.storage.filters.tree import Filter


def read(written: str | Mapping[str, Any] | Filter) -> Filter:
    """The filter: of words (`year >= 2020`), of a JSON object or its text (`{"must": ...}`), or one already.

    Raises:
        FilterError: it cannot be read; the message says where.
    """
    if isinstance(written, Filter):
        return written
    if not isinstance(written, str):
        return from_json(written)
    if not written.lstrip().startswith("{"):
        return parse(written)
    try:
        return from_json(json.loads(written))
    except json.JSONDecodeError as error:
        raise FilterError(f"filter {written!r} is no JSON: {error.msg} at position {error.pos}", error.pos) from None
    except RecursionError:
        raise FilterError("the filter's JSON nests too deep to be read; make it flatter") from None
