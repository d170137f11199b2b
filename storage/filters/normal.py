"""Any filter as one of bounded size that reads the same: Not only before a condition, And and Or in turns.

LanceDB's parser of SQL gives up, or runs for minutes, on brackets within brackets and on NOT before NOT
(LanceDB 0.40: 14 levels of AND and OR, 24 of NOT), so what it is given has few of the one and none of the other.
"""

from __future__ import annotations

from oneword.storage.errors import FilterError
from oneword.storage.filters.tree import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range

MOST_CONDITIONS = 1000  # LanceDB plans 1,000 in 0.1 s
MOST_VALUES = 10_000  # in the lists of all its `in`
DEEPEST_TREE = 200  # levels as built, far within Python's stack: `&` a hundred times over is one such tree
DEEPEST_TURNS = 20  # levels of And within Or within And: 10 brackets


def normal(tree: Filter) -> Filter:
    """`tree` with every Not just before a condition, no And in an And, and no Or in an Or.

    Raises:
        FilterError: it is larger than the bounds above, or holds something that is no filter.
    """
    pushed = _Pushing().push(tree, negated=False, depth=1)
    if _turns(pushed) > DEEPEST_TURNS:
        raise FilterError(
            f"the filter puts 'and' within 'or' within 'and' more than {DEEPEST_TURNS} levels deep; write it flatter"
        )
    return pushed


def leaves(tree: Filter) -> list[tuple[Filter, bool]]:
    """The conditions of a normal tree, each with whether it is negated."""
    match tree:
        case And(filters) | Or(filters):
            return [leaf for one in filters for leaf in leaves(one)]
        case Not(inner):
            return [(inner, True)]
    return [(tree, False)]


class _Pushing:
    def __init__(self) -> None:
        self.conditions = 0
        self.values = 0

    def push(self, tree: Filter, *, negated: bool, depth: int) -> Filter:
        """`tree`, or its opposite, with the Nots pushed down (De Morgan) and groups of one kind merged."""
        if depth > DEEPEST_TREE:
            raise FilterError(f"the filter nests more than {DEEPEST_TREE} levels deep; write it flatter")
        match tree:
            case Not(inner):
                return self.push(inner, negated=not negated, depth=depth + 1)
            case And(filters) | Or(filters):
                kind = And if isinstance(tree, And) != negated else Or
                merged: list[Filter] = []
                for one in filters:
                    part = self.push(one, negated=negated, depth=depth + 1)
                    merged += part.filters if isinstance(part, kind) else [part]
                if not filters:
                    self.count(tree)
                return merged[0] if len(merged) == 1 else kind(tuple(merged))
            case Match() | AnyOf() | Range() | Exists() | Contains():
                self.count(tree)
                return Not(tree) if negated else tree
        raise FilterError(f"{tree!r} is not a filter; expected one of storage.filters")

    def count(self, leaf: Filter) -> None:
        self.conditions += 1
        self.values += len(leaf.values) if isinstance(leaf, AnyOf) else 0
        if self.conditions > MOST_CONDITIONS:
            raise FilterError(f"the filter has more than {MOST_CONDITIONS} conditions; put values of one field in 'in'")
        if self.values > MOST_VALUES:
            raise FilterError(f"the filter's lists have more than {MOST_VALUES} values; ask in several requests")


def _turns(tree: Filter) -> int:
    if isinstance(tree, And | Or):
        return 1 + max(map(_turns, tree.filters), default=0)
    return 0
