from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.storage.metadata import comparable, dumps, kind_of, loads, microseconds

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(
    text,
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=30)))),
    st.lists(text),
)


@given(st.dictionaries(text, values))
def test_json_is_exact(metadata: dict[str, Any]) -> None:
    back = loads(dumps(metadata))
    assert back == metadata
    assert {key: type(value) for key, value in back.items()} == {key: type(v) for key, v in metadata.items()}


def test_a_time_without_zone_is_utc() -> None:
    assert loads(dumps({"t": datetime(2024, 5, 31, 12)})) == {"t": datetime(2024, 5, 31, 12, tzinfo=UTC)}


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_are_exact(time: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(time)) == time


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (1, "number"),
        (1.5, "number"),
        ("x", "string"),
        (datetime(2024, 1, 1), "time"),
        ([], "list of strings"),
        (["a"], "list of strings"),
        (["a", 1], None),
        (None, None),
        ({}, None),
        (b"x", None),
    ],
)
def test_kinds(value: object, kind: str | None) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "\ud800", ["ok", "\ud800"]])
def test_what_no_column_can_hold(value: Any) -> None:
    with pytest.raises(ValueError):
        comparable(value)


def test_minus_zero_is_zero() -> None:
    assert str(comparable(-0.0)) == "0.0"
