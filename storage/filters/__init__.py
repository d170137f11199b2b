"""Conditions on items: a small tree, a small language and a JSON form that are read into it, and the SQL it becomes.

tree = parse('year >= 2020 and (camera = "Nikon D5" or tags contains beach)')
tree = from_json({"must": {"field": "year", "range": {"gte": 2020}}, "should": [...]})
tree = Range("year", gte=2020) & (Match("camera", "Nikon D5") | Contains("tags", "beach"))
"""

from oneword.storage.filters.clauses import from_json, to_json
from oneword.storage.filters.parser import parse
from oneword.storage.filters.reading import read
from oneword.storage.filters.sql import compile  # noqa: A004
from oneword.storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range, Scalar

__all__ = [
    "And",
    "AnyOf",
    "Contains",
    "Exists",
    "Filter",
    "Match",
    "Not",
    "Or",
    "Range",
    "Scalar",
    "compile",
    "from_json",
    "parse",
    "read",
    "to_json",
]
