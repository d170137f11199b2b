"""Two rankings made into one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneword.storage.ranking import Ranked, order

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
# Methods", SIGIR 2009: they fixed 60 in a pilot study, and found that it matters little.
K = 60


def reciprocal_rank(one: Sequence[Ranked], other: Sequence[Ranked], *, k: int = K) -> list[Ranked]:
    """By 1 / (k + rank) of each ranking that has the item, added up; ranks count from 1.

    Only the order of a ranking matters, not its scores, so rankings of any kind can be fused. The result is in order
    of the new scores, equal ones by id.
    """
    scores: dict[str, float] = {}
    for ranking in (one, other):
        for rank, (_, item_id) in enumerate(_distinct(ranking), start=1):
            scores[item_id] = scores.get(item_id, 0.0) + 1.0 / (k + rank)
    return sorted(((score, item_id) for item_id, score in scores.items()), key=order)


def weighted(one: Sequence[Ranked], other: Sequence[Ranked], *, weight: float = 0.5) -> list[Ranked]:
    """By (1 - weight) times an item's normalised score in `one` plus weight times that in `other`, in [0, 1].

    A ranking's scores are normalised from its lowest to its highest onto [0, 1] (min-max): BM25 has no upper bound
    and cosines lie close together, and both have to spread alike before a weight means anything. An item that a
    ranking lacks gets 0 there, as its last one does: it would have come after. Where all of a ranking's scores are
    equal they are 1: found is better than not found. The result is in order of the new scores, equal ones by id.

    Raises:
        ValueError: the weight lies outside [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"the weight of the second ranking is {weight}, expected 0 to 1")
    first, second = _normalised(_distinct(one)), _normalised(_distinct(other))
    mixed = (
        ((1.0 - weight) * first.get(item_id, 0.0) + weight * second.get(item_id, 0.0), item_id)
        for item_id in first | second
    )
    return sorted(mixed, key=order)


def _distinct(ranking: Sequence[Ranked]) -> list[Ranked]:
    """In order, each item once, at its best."""
    seen: dict[str, float] = {}
    for score, item_id in sorted(ranking, key=order):
        seen.setdefault(item_id, score)
    return [(score, item_id) for item_id, score in seen.items()]


def _normalised(ranking: Sequence[Ranked]) -> dict[str, float]:
    if not ranking:
        return {}
    highest, lowest = ranking[0][0], ranking[-1][0]
    if highest == lowest:
        return {item_id: 1.0 for _, item_id in ranking}
    if math.isinf(highest - lowest):
        return _normalised([(score / 4, item_id) for score, item_id in ranking])
    return {item_id: (score - lowest) / (highest - lowest) for score, item_id in ranking}
