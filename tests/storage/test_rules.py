"""One bad item never spoils a batch: `check` refuses exactly what `upsert` and `insert` would."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import BadItem, Collection, Item, Store

SPACE = {"fingerprint": "f", "dimension": 2, "model": "m", "view": "v"}

values = st.one_of(
    st.sampled_from(["x", "\ud800", None, b"x", {}, float("nan"), 10**400, 2**63, -0.0, True, ["a"], ["a", 1]]),
    st.sampled_from([datetime(2024, 5, 31), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))]),
    st.integers(),
    st.text(max_size=2),
)
keys: st.SearchStrategy[Any] = st.sampled_from(["a", "b", "A", "1a", "é", "", 3])
vectors: st.SearchStrategy[Any] = st.sampled_from(
    [[1, 0], [0, 1], [0, 0], [1], [[1, 0]], [np.nan, 1], None, "x", ["x", "y"], [1e300, 0]]
)


@st.composite
def offered(draw: st.DrawFn) -> Item:
    """An item that is good or bad in any of its fields."""
    good = {
        "id": draw(st.sampled_from("abcdef")),
        "modality": "text",
        "uri": "u",
        "content_hash": "h",
        "vector": np.array([1, 0], np.float32),
        "metadata": draw(st.dictionaries(keys, values, max_size=2)),
    }
    bad: dict[str, st.SearchStrategy[Any]] = {
        "id": st.sampled_from(["", "\ud800", 3]),
        "modality": st.just("sound"),
        "uri": st.sampled_from([None, "\udfff", b"u"]),
        "text": st.sampled_from(["\ud800", 1, "fine"]),
        "width": st.sampled_from(["3", 2.5, -1, 2**63, True, 7, np.int64(7)]),
        "height": st.sampled_from([np.float32(2), 2**63 - 1]),
        "thumbnail": st.sampled_from(["x", b"x", 3]),
        "indexed_at": st.sampled_from(
            ["now", datetime(2024, 1, 1), datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=2)))]
        ),
        "vector": vectors,
    }
    name = draw(st.sampled_from([*bad, *[None] * 6]))
    return Item(**(good if name is None else good | {name: draw(bad[name])}))


@settings(max_examples=60)
@given(first=st.lists(offered(), max_size=3), items=st.lists(offered(), min_size=1, max_size=7))
def test_what_check_leaves_can_be_stored_and_what_it_refuses_cannot(first: list[Item], items: list[Item]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collection = Store(folder).create("a", SPACE)
        refused = collection.check(first)
        collection.upsert([one for one in first if one.id not in refused])  # some kinds are decided already
        refused = collection.check(items)
        latest = list({one.id: one for one in items}.values())
        good = [one for one in latest if one.id not in refused]
        for one in latest:
            if one.id in refused:
                with pytest.raises(BadItem):
                    collection.upsert([*good, one])
        if good:
            collection.upsert(good)
            assert set(collection.get([one.id for one in good])) == {one.id for one in good}


def test_the_first_decides_the_kind_and_a_refused_one_decides_nothing(
    collection: Collection, item: Callable[..., Item]
) -> None:
    items = [
        replace(item("no vector", metadata={"year": "x"}), vector=None),
        item("a", metadata={"year": 1}),
        item("b", metadata={"year": "2"}),
        item("c", metadata={"year": 3.5}),
    ]
    refused = collection.check(items)
    assert list(refused) == ["no vector", "b"]
    assert "'b' has metadata 'year' as a string ('2'), but in this collection it is a number" in refused["b"]
    with collection.writing():
        assert collection.insert([one for one in items if one.id not in refused]) == 2
    assert "a number" in collection.check([item("d", metadata={"year": "2"})])["d"]
    assert collection.check([item("d", metadata={"year": 2})]) == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": "3"}, "width '3', expected a whole number"),
        ({"height": 2**63}, "height 9223372036854775808, expected a whole number"),
        ({"thumbnail": "x"}, "thumbnail of type str, expected bytes"),
        ({"indexed_at": "now"}, "indexed_at 'now', expected a datetime"),
        ({"indexed_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "before the year 1"),
    ],
)
def test_fields_of_a_wrong_type(
    collection: Collection, item: Callable[..., Item], fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadItem, match=said):
        collection.upsert([item("a", **fields)])


def test_a_time_without_a_zone_is_in_utc(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", indexed_at=datetime(2024, 1, 1))])
    assert collection.get(["a"])["a"].indexed_at == datetime(2024, 1, 1, tzinfo=UTC)
