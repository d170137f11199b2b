"""Conditions on items: a small tree, a small language that is read into it, and the SQL it becomes.

tree = parse('year >= 2020 and (camera = "Nikon D5" or tags contains beach)')
tree = Range("year", gte=2020) & (Match("camera", "Nikon D5") | Contains("tags", "beach"))
"""

from storage.filters.parser import parse
from storage.filters.sql import compile  # noqa: A004
from storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range, Scalar

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
    "parse",
]
