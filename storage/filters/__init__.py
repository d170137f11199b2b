"""Conditions on items: a tree of conditions, a language and a JSON form that are parsed into it, and its SQL.

tree = parse('year >= 2020 and (camera = "Nikon D5" or tags contains beach)')
tree = filter_from_json({"must": {"field": "year", "range": {"gte": 2020}}, "should": [...]})
tree = Range("year", gte=2020) & (Match("camera", "Nikon D5") | Contains("tags", "beach"))
"""

from oneword.storage.filters.clauses import filter_from_json, filter_to_json
from oneword.storage.filters.parse import parse, parse_filter
from oneword.storage.filters.sql import compile  # noqa: A004
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

__all__ = [
    "And",
    "AnyOf",
    "Contains",
    "Exists",
    "Filter",
    "Match",
    "Near",
    "Not",
    "Or",
    "Range",
    "Scalar",
    "Within",
    "compile",
    "filter_from_json",
    "filter_to_json",
    "parse",
    "parse_filter",
]
