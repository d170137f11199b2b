from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.storage.errors import FilterError
from oneword.storage.filters import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range, parse


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("modality = image", Match("modality", "image")),
        ("a == 1", Match("a", 1)),
        ("a=-1.5e3", Match("a", -1500.0)),
        ("a = '1'", Match("a", "1")),
        ("a = true", Match("a", True)),
        ('a = "true"', Match("a", "true")),
        ("a != b", Not(Match("a", "b"))),
        ("a < 1", Range("a", lt=1)),
        ("a <= 1", Range("a", lte=1)),
        ("a > 1", Range("a", gt=1)),
        ("a>=2020", Range("a", gte=2020)),
        ("a between 1 and 2 and b = 3", And((Range("a", gte=1, lte=2), Match("b", 3)))),
        ("a contains 007", Contains("a", "007")),
        ("a in (png, 'jp eg', 3)", AnyOf("a", ("png", "jp eg", 3))),
        ("a not in (1)", Not(AnyOf("a", (1,)))),
        ("exists(author)", Exists("author")),
        ("NOT Exists ( author )", Not(Exists("author"))),
        ("a=1 or b=2 and c=3", Or((Match("a", 1), And((Match("b", 2), Match("c", 3)))))),
        ("(a=1 or b=2) and c=3", And((Or((Match("a", 1), Match("b", 2))), Match("c", 3)))),
        ("not a=1 and b=2", And((Not(Match("a", 1)), Match("b", 2)))),
        ("metadata.in = x", Match("metadata.in", "x")),
        ("uri = s3://b/a-b_c.jpg", Match("uri", "s3://b/a-b_c.jpg")),
        ("t >= 2024-05-31T10:00:00+02:00", Range("t", gte="2024-05-31T10:00:00+02:00")),
        (r'''a = "it's \"so\" \\ C:\new"''', Match("a", r"""it's "so" \ C:\new""")),
        (r"a = '\''", Match("a", "'")),
        ("a = ''", Match("a", "")),
        ("  a = é  ", Match("a", "é")),
        (
            'year >= 2020 and (camera = "Nikon D5" or tags contains beach)',
            And((Range("year", gte=2020), Or((Match("camera", "Nikon D5"), Contains("tags", "beach"))))),
        ),
    ],
)
def test_reading(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "expected a field"),
        ("   ", 0, "expected a field"),
        ("a", 1, "expected =, !=.*found the end"),
        ("a =", 3, "expected a value"),
        ("a = b c", 6, "expected 'and', 'or' or the end, found 'c'"),
        ("a = 'b", 4, "never closed"),
        ("a = b and", 9, "expected a field"),
        ("(a = b", 6, r"expected '\)'"),
        ("a = b)", 5, "found '\\)'"),
        ("a in b", 5, r"expected '\('"),
        ("a in ()", 6, "expected a value"),
        ("a not b", 6, "expected 'in'"),
        ("a between 1 or 2", 12, "expected 'and'"),
        ("and = 1", 0, "metadata.name"),
        ("'a' = 1", 0, "expected a field"),
        ("a ! b", 2, "not expected"),
        ("exists a", 7, r"expected '\('"),
        ("(" * 60 + "a = 1" + ")" * 60, 50, "at most 50 levels"),
        ("not " * 60 + "a = 1", 200, "at most 50 levels"),
    ],
)
def test_mistakes_are_placed(text: str, position: int, said: str) -> None:
    with pytest.raises(FilterError, match=said) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"position {position}" in str(caught.value)


@given(st.text(st.sampled_from("ab1 ='\"()<>!,\\.-\n") | st.characters(), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        outcome: Filter | FilterError = parse(text)
    except FilterError as error:
        outcome = error
    if isinstance(outcome, FilterError):
        assert outcome.position is not None
        assert 0 <= outcome.position <= len(text)


@given(st.text())
def test_a_quoted_value_is_read_back(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'a = "{escaped}"') == Match("a", value)


def test_operators_build_the_same_tree() -> None:
    one, two = Match("a", 1), Exists("b")
    built: list[Any] = [one & two, one | two, ~one]
    assert built == [And((one, two)), Or((one, two)), Not(one)]
