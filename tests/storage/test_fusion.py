from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.storage import reciprocal_rank, weighted
from oneword.storage.ranking import Ranked, order

scores = st.floats(allow_nan=False, allow_infinity=False)
rankings = st.dictionaries(st.sampled_from("abcdefgh"), scores).map(
    lambda found: sorted(((score, item_id) for item_id, score in found.items()), key=order)
)


def by_id(ranking: list[Ranked]) -> dict[str, float]:
    return {item_id: score for score, item_id in ranking}


def test_reciprocal_rank_by_hand() -> None:
    one, other = [(0.9, "a"), (0.5, "b")], [(7.0, "b"), (6.0, "c")]
    assert reciprocal_rank(one, other) == [(1 / 62 + 1 / 61, "b"), (1 / 61, "a"), (1 / 62, "c")]
    assert reciprocal_rank(one, other, k=0) == [(1.5, "b"), (1.0, "a"), (0.5, "c")]


def test_weighted_by_hand() -> None:
    one, other = [(0.9, "a"), (0.5, "b"), (0.1, "c")], [(7.0, "b"), (6.0, "d")]
    assert weighted(one, other) == [(0.75, "b"), (0.5, "a"), (0.0, "c"), (0.0, "d")]
    assert weighted([(3.0, "a"), (3.0, "b")], []) == [(0.5, "a"), (0.5, "b")]
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            weighted(one, other, weight=weight)


@given(one=rankings, other=rankings, weight=st.floats(0, 1))
def test_both_hold_every_item_once_in_order(one: list[Ranked], other: list[Ranked], weight: float) -> None:
    for fused in (reciprocal_rank(one, other), weighted(one, other, weight=weight)):
        assert sorted(item_id for _, item_id in fused) == sorted(by_id(one) | by_id(other))
        assert fused == sorted(fused, key=order)
    assert all(0.0 <= score <= 1.0 for score, _ in weighted(one, other, weight=weight))


@given(one=rankings, other=rankings, data=st.data())
def test_neither_depends_on_the_order_of_its_input(one: list[Ranked], other: list[Ranked], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(one))
    assert reciprocal_rank(shuffled, other) == reciprocal_rank(one, other) == reciprocal_rank(other, one)
    assert weighted(shuffled, other) == weighted(one, other) == weighted(other, one)


@given(ranking=rankings)
def test_one_ranking_alone_keeps_its_order(ranking: list[Ranked]) -> None:
    assert [item_id for _, item_id in reciprocal_rank(ranking, [])] == [item_id for _, item_id in ranking]
    mixed = by_id(weighted(ranking, [], weight=0.0))
    values = [mixed[item_id] for _, item_id in ranking]
    assert values == sorted(values, reverse=True)
    assert not ranking or values[0] == 1.0


@given(one=rankings, other=rankings)
def test_an_item_ahead_in_both_is_ahead(one: list[Ranked], other: list[Ranked]) -> None:
    ranks = by_id(reciprocal_rank(one, other))
    mixed = by_id(weighted(one, other))
    first, second = by_id(one), by_id(other)
    for a in first.keys() & second.keys():
        for b in first.keys() & second.keys():
            if first[a] > first[b] and second[a] > second[b]:
                assert ranks[a] > ranks[b]
                assert mixed[a] >= mixed[b]


@given(one=rankings, other=rankings)
def test_what_is_found_twice_is_not_behind_what_stands_at_its_place_once(
    one: list[Ranked], other: list[Ranked]
) -> None:
    ranks = by_id(reciprocal_rank(one, other))
    for place, (_, item_id) in enumerate(one, start=1):
        alone = 1 / (60 + place)
        assert ranks[item_id] > alone if item_id in by_id(other) else ranks[item_id] == alone


@given(one=rankings, factor=st.sampled_from([0.5, 2.0, 1024.0]))
def test_weighted_does_not_depend_on_the_unit_of_scores(one: list[Ranked], factor: float) -> None:
    small = [(float(int(score) % 1000), item_id) for score, item_id in one]
    other = [(1.0, "a"), (0.0, "b")]
    assert weighted([(score * factor, item_id) for score, item_id in small], other) == weighted(small, other)
