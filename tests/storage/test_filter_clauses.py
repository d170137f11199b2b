from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.storage import And, AnyOf, Contains, Exists, Filter, FilterError, Match, Not, Or, Range
from oneword.storage.filters import filter_from_json, filter_to_json, tree
from oneword.storage.filters.parse import DEEPEST

A, B = Match("a", 1), Match("b", "x")
JSON_A, JSON_B = {"field": "a", "match": 1}, {"field": "b", "match": "x"}


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        ({}, And(())),
        ({"must": [], "should": [], "must_not": []}, And(())),
        (JSON_A, A),
        ({"must": JSON_A}, A),
        ({"must": [JSON_A]}, A),
        ({"must": [JSON_A, JSON_B]}, And((A, B))),
        ({"should": [JSON_A, JSON_B]}, Or((A, B))),
        ({"should": JSON_A}, A),
        ({"must_not": [JSON_A, JSON_B]}, And((Not(A), Not(B)))),
        ({"must_not": {}}, Not(And(()))),
        ({"must": JSON_A, "should": [JSON_A, JSON_B], "must_not": JSON_B}, And((A, Or((A, B)), Not(B)))),
        ({"must": {"should": [JSON_A, {"must_not": JSON_B}]}}, Or((A, Not(B)))),
        ({"field": "a", "match": True}, Match("a", True)),
        ({"field": "a", "any": [1, "x", 2.5]}, AnyOf("a", (1, "x", 2.5))),
        ({"field": "a", "any": []}, AnyOf("a", ())),
        ({"field": "a", "range": {"gt": 1, "lte": 2.5}}, Range("a", gt=1, lte=2.5)),
        ({"field": "a", "range": {"gte": "2024-05-31"}}, Range("a", gte="2024-05-31")),
        ({"field": "a", "exists": True}, Exists("a")),
        ({"field": "a", "exists": False}, Not(Exists("a"))),
        ({"field": "a", "contains": ""}, Contains("a", "")),
        ({"field": "must", "match": "should"}, Match("must", "should")),
    ],
)
def test_reading(value: Any, tree: Filter) -> None:
    assert filter_from_json(value) == tree


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "filter: expected a condition or a filter of must, should and must_not, found None"),
        ([JSON_A], "filter: expected a condition .* found a list"),
        ("year = 2020", "filter: expected a condition .* found 'year = 2020'"),
        ({"musst": []}, "filter, musst: no such key; expected one of must, should, must_not, near, within, field"),
        ({"must": [{}, {}, {"feild": "a", "match": 1}]}, r"filter, must\[2\].feild: no such key; .* field, match, any"),
        ({"must": [{}, {}, {"feild": "a"}]}, r"filter, must\[2\].feild: no such key"),
        ({"must": {"field": "a", "match": 1, "must": []}}, "must.must: no such key"),
        ({"a b": 1}, "filter, 'a b': no such key"),
        ({"must": "x"}, "filter, must: expected a condition"),
        ({"must": [None]}, r"must\[0\]: expected a condition .* found None"),
        (
            {"should": {"must_not": [JSON_A, {"field": "a"}]}},
            r"should.must_not\[1\]: expected one of match, .* found none",
        ),
        ({"field": "a", "match": 1, "exists": True}, "expected one of .* beside field 'a', found match and exists"),
        ({"match": 1}, "filter, field: expected the name of a field, found nothing"),
        ({"field": "", "match": 1}, "the name of a field, found ''"),
        ({"field": ["a"], "match": 1}, "the name of a field, found a list"),
        ({"field": "a", "match": None}, '"exists": false}., found None'),
        ({"field": "a", "match": [1]}, "match: expected text, a number, true or false, found a list"),
        ({"field": "a", "match": {"value": 1}}, "match: expected text, .* found an object"),
        ({"field": "a", "match": float("nan")}, "expected a finite number, found nan"),
        ({"field": "a", "any": "x"}, "any: expected a list of values, found 'x'"),
        ({"field": "a", "any": ["x", {}]}, r"any\[1\]: expected text"),
        ({"field": "a", "range": 5}, "range: expected an object of gt, gte, lt and lte, found 5"),
        ({"field": "a", "range": {}}, "range: expected at least one of gt"),
        ({"field": "a", "range": {"gte": 1, "max": 2}}, "range.max: no such key; expected one of gt, gte, lt, lte"),
        ({"field": "a", "range": {"gt": None}}, "range.gt: expected a value"),
        ({"field": "a", "range": {"gt": True}}, "range.gt: expected text, a number or a time, found True"),
        ({"field": "a", "exists": 1}, "exists: expected true or false, found 1"),
        ({"field": "a", "contains": 5}, "contains: expected text, found 5"),
        ({1: []}, "expected a condition"),
    ],
)
def test_mistakes_are_named_with_their_path(value: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        filter_from_json(value)


def nested(levels: int) -> Any:
    value: Any = JSON_A
    for _ in range(levels - 1):
        value = {"must_not": [value]}
    return value


def test_the_deepest_and_largest() -> None:
    assert filter_to_json(filter_from_json(nested(DEEPEST))) == nested(DEEPEST)
    with pytest.raises(FilterError, match="at most 50 levels"):
        filter_from_json(nested(DEEPEST + 1))
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(FilterError, match="found a list"):
        filter_from_json({"field": "a", "match": deep})
    many = tree.MOST_CONDITIONS
    assert filter_from_json({"must": [JSON_A] * (many - 1)}) == And((A,) * (many - 1))
    for one in (JSON_A, {}):
        with pytest.raises(FilterError, match=rf"must\[{many - 1}\]: expected at most {many} conditions"):
            filter_from_json({"must": [one] * many})
    with pytest.raises(FilterError, match="at most 10000 values"):
        filter_from_json({"field": "a", "any": ["x"] * (tree.MOST_VALUES + 1)})
    with pytest.raises(FilterError, match="50 levels"):
        filter_to_json(Not(filter_from_json(nested(DEEPEST))))


def test_a_long_value_does_not_make_a_long_message() -> None:
    with pytest.raises(FilterError) as caught:
        filter_from_json({"must": {"x" * 100_000: 1}})
    assert len(str(caught.value)) < 500
    with pytest.raises(FilterError) as caught:
        filter_from_json({"field": "a", "exists": "x" * 100_000})
    assert len(str(caught.value)) < 500


def test_times_are_written_as_iso_strings() -> None:
    zone = timezone(timedelta(hours=2))
    assert filter_to_json(Match("t", datetime(2024, 1, 1, 10, tzinfo=zone))) == {
        "field": "t",
        "match": "2024-01-01T10:00:00+02:00",
    }
    assert filter_to_json(Range("t", lt=datetime(2024, 1, 1))) == {
        "field": "t",
        "range": {"lt": "2024-01-01T00:00:00+00:00"},
    }
    assert datetime.fromisoformat(filter_to_json(Match("t", datetime(2024, 1, 1)))["match"]) == datetime(
        2024, 1, 1, tzinfo=UTC
    )


def test_an_or_of_nothing_stays_false() -> None:
    assert filter_from_json(filter_to_json(Or(()))) == Not(And(()))


names = st.text(min_size=1, max_size=5)
scalars = st.one_of(st.text(max_size=5), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
bounds = st.dictionaries(
    st.sampled_from(["gt", "gte", "lt", "lte"]), scalars.filter(lambda v: v is not True and v is not False), min_size=1
)
conditions = st.one_of(
    st.fixed_dictionaries({"field": names, "match": scalars}),
    st.fixed_dictionaries({"field": names, "any": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"field": names, "range": bounds}),
    st.fixed_dictionaries({"field": names, "exists": st.booleans()}),
    st.fixed_dictionaries({"field": names, "contains": st.text(max_size=5)}),
)
filters = st.recursive(
    conditions,
    lambda inner: st.dictionaries(
        st.sampled_from(["must", "should", "must_not"]), st.one_of(inner, st.lists(inner, max_size=3))
    ),
    max_leaves=8,
)


def true(value: Any, facts: dict[str, bool]) -> bool:
    """What JSON means, each condition being as `facts` has it."""
    if "field" in value:
        plain = {**value, "exists": True} if "exists" in value else value
        fact = facts.setdefault(json.dumps(plain, sort_keys=True), len(facts) % 3 == 0)
        return fact != (value.get("exists") is False)
    as_lists = {name: clause if isinstance(clause, list) else [clause] for name, clause in value.items()}
    must = [true(one, facts) for one in as_lists.get("must", [])]
    should = [true(one, facts) for one in as_lists.get("should", [])]
    must_not = [true(one, facts) for one in as_lists.get("must_not", [])]
    return all(must) and (any(should) or not should) and not any(must_not)


def holds(tree: Filter, facts: dict[str, bool]) -> bool:
    match tree:
        case And(parts):
            return all(holds(one, facts) for one in parts)
        case Or(parts):
            return any(holds(one, facts) for one in parts)
        case Not(inner):
            return not holds(inner, facts)
    return facts[json.dumps(filter_to_json(tree), sort_keys=True)]


@given(filters)
def test_json_to_tree_to_json_to_tree(value: Any) -> None:
    tree = filter_from_json(value)
    written = json.loads(json.dumps(filter_to_json(tree)))
    facts: dict[str, bool] = {}
    meaning = true(value, facts)
    assert holds(tree, facts) == meaning
    assert true(written, facts) == meaning
    assert filter_to_json(filter_from_json(written)) == written
    assert filter_from_json(written) == filter_from_json(written)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["must", "should", "must_not", "field", "match", "any", "range", "gt", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        tree = filter_from_json(value)
    except FilterError as error:
        assert str(error).startswith("filter")  # noqa: PT017 - and nothing else may be raised
    else:
        assert filter_from_json(filter_to_json(tree)) is not None
