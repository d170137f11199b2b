import inspect
import json
import math
from pathlib import Path
from typing import get_args

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from oneword.query import BadQuery, Composed, Image, Interleaved, Like, Query, Text, Vector
from oneword.query.cli import _pieces, search
from oneword.query.query import LIKED, NEGATIVE, UNLIKED, options
from oneword.query.server.queries import Hybrid, QueryIn
from oneword.query.wire import to_json
from oneword.storage import And, FilterError, Match
from oneword.storage.options import Declared

texts = st.text(min_size=1, max_size=20)


@given(
    text=st.none() | texts,
    image=st.none() | texts,
    edit=st.none() | texts,
    crop=st.none() | st.just((0.5, 0, 0.5, 1)),
    like=st.lists(texts, max_size=3),
    unlike=st.lists(texts, max_size=3),
    without=st.lists(texts, max_size=3),
    limit=st.integers(-5, 20_000),
    offset=st.integers(-5, 100),
    min_score=st.none() | st.floats(-2, 2),
)
def test_of_builds_one_part_for_each_thing_said_or_refuses(
    text, image, edit, crop, like, unlike, without, limit, offset, min_score
) -> None:
    possible = (
        (text is not None or image is not None or like or unlike or without)
        and ((edit is None and crop is None) or image is not None)
        and not set(like) & set(unlike)
        and 1 <= limit <= 10_000
        and offset >= 0
        and (min_score is None or -1 <= min_score <= 1)
    )
    options = {"image": image, "edit": edit, "crop": crop, "like": like, "unlike": unlike, "without": without}
    if not possible:
        with pytest.raises(BadQuery, match=r"expected|image"):
            Query.of(text, **options, limit=limit, offset=offset, min_score=min_score)
        return
    query = Query.of(text, **options, limit=limit, offset=offset, min_score=min_score)
    kinds = [type(part) for part in query.parts]
    assert kinds.count(Text) == (text is not None) + len(without)
    assert kinds.count(Composed) == (image is not None and edit is not None)
    assert kinds.count(Image) == (image is not None and edit is None)
    assert [part.crop for part in query.parts if isinstance(part, Image | Composed)] == [crop] * (image is not None)
    assert [part.id for part in query.parts if isinstance(part, Like)] == [*like, *unlike]
    assert [part.text for part in query.parts if isinstance(part, Text) and part.weight < 0] == without
    beside = text is not None or image is not None
    weights = {one: LIKED / len(like) if beside else 1 for one in like} | {one: UNLIKED / len(unlike) for one in unlike}
    assert all(part.weight == weights[part.id] for part in query.parts if isinstance(part, Like))
    assert all(part.weight in (1.0, NEGATIVE) for part in query.parts if not isinstance(part, Like))


@pytest.mark.parametrize(
    ("pieces", "complaint"),
    [
        (["words", "and words"], "2 pieces, 0 of them images"),
        ([{"image": "a.png"}], "1 pieces, 1 of them images"),
        ([{"image": "a.png"}] * 17, "17 pieces"),
        ([{"image": "a.png", "edit": "red"}, "b"], "a piece with image, edit"),
        ([{"image": "a.png", "crop": [0, 0, 2, 1]}, "b"], "crop .*shares of the image"),
        ([Image(image="a.png", weight=2.0), "b"], "weight 2.0 in a composed query"),
        ("a photo of this", "expected a list of images and texts"),
    ],
)
def test_composed_lists_that_cannot_be(pieces, complaint) -> None:
    with pytest.raises(BadQuery, match=complaint):
        Query.of(composed=pieces)


def test_a_composed_list_says_what_is_an_image() -> None:
    (part,) = Query.of(composed=[{"image": "a.png", "crop": [0, 0, 0.5, 1]}, "in", Path("b.png")]).parts
    assert isinstance(part, Interleaved)
    assert part.pieces == (Image(image="a.png", crop=(0, 0, 0.5, 1)), "in", Image(image=Path("b.png")))


def test_pieces_as_they_are_typed() -> None:
    assert _pieces("{a b.jpg} the sofa of this {b.jpg}in the room of this") == [
        {"image": "a b.jpg"}, "the sofa of this", {"image": "b.jpg"}, "in the room of this"
    ]  # fmt: skip
    assert _pieces('[{"image": "a.jpg"}, "but {red}"]') == [{"image": "a.jpg"}, "but {red}"]
    for wrong in ("[", '["a'):
        with pytest.raises(typer.BadParameter, match="is not JSON"):
            _pieces(wrong)


@pytest.mark.parametrize("weight", [0.0, math.nan, math.inf])
def test_weights_are_finite_and_not_zero(weight: float) -> None:
    for make in (
        lambda: Text(text="a", weight=weight),
        lambda: Vector(values=[1.0], weight=weight),
        lambda: Like(id="a", weight=weight),
    ):
        with pytest.raises(BadQuery, match="weight"):
            make()


def test_filters_in_words_or_as_trees() -> None:
    assert Query.of("a", where="format = png").filter == Match(field="format", value="png")
    tree = And(filters=(Match(field="a", value=1), Match(field="b", value=True)))
    assert Query.of("a", where=tree).filter == tree
    with pytest.raises(FilterError):
        Query.of("a", where="format ==== png")


def test_modalities_are_two() -> None:
    with pytest.raises(BadQuery, match="expected 'image' or 'text'"):
        Query.of("a", modality="video")


def test_a_single_string_is_one_thing_not_its_letters() -> None:
    query = Query.of(like="abc", without="red")
    assert query.parts == (Like(id="abc"), Text(text="red", weight=NEGATIVE))


def test_a_filter_in_words_as_json_or_as_an_object() -> None:
    words = Query.of("a", where="year >= 2020 and not tags = draft").filter
    clauses = {"must": [{"field": "year", "range": {"gte": 2020}}], "must_not": {"field": "tags", "match": "draft"}}
    assert Query.of("a", where=clauses).filter == words
    assert Query.of("a", where=" " + json.dumps(clauses)).filter == words
    assert Query.of("a", where=words).filter == words
    for wrong in ('{"must": [', '{"must": {"feild": "a"}}', "{" * 100_000, '{"a":' * 100_000, "[1]"):
        with pytest.raises(FilterError):
            Query.of("a", where=wrong)


@pytest.mark.parametrize("one", options(), ids=lambda one: one.name)
def test_an_option_is_the_same_everywhere(one: Declared) -> None:
    """In the REST schema, on the command line, and in the JSON that a client writes."""
    schema = (Hybrid if one.option.fusion else QueryIn).model_json_schema()["properties"][one.name]
    assert (schema["default"], schema["description"]) == (one.default, one.option.help)
    kind = next((each for each in schema.get("anyOf", ()) if each != {"type": "null"}), schema)
    assert (kind.get("minimum"), kind.get("maximum")) == (one.option.min, one.option.max)
    parameter = inspect.signature(search).parameters[one.name]
    info = get_args(parameter.annotation)[1]
    assert (parameter.default, info.help, info.min, info.max) == (
        one.default,
        one.option.help,
        one.option.min,
        one.option.max,
    )
    value = next(each for each in (*get_args(one.type), 1, 0.5, "words") if each != one.default and _fits(one, each))
    written = to_json(Query.of("a", **{"keywords": "cat", one.name: value}))
    assert (written["hybrid"] if one.option.fusion else written)[one.name] == value


@pytest.mark.parametrize("one", [one for one in options() if one.option.max], ids=lambda one: one.name)
def test_a_value_out_of_bounds_is_refused(one: Declared) -> None:
    for value in (one.option.min - 1, one.option.max + 1, math.nan, "1", True, [1]):
        with pytest.raises(BadQuery, match=f"{one.name} .*: expected"):
            Query.of("a", **{one.name: value})


def _fits(one: Declared, value: object) -> bool:
    return not one.problem(value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("top_k", "did you mean 'limit'?"),
        ("filter", "did you mean 'where'?"),
        ("limt", "did you mean 'limit'?"),
        ("x", ""),
    ],
)
def test_what_other_search_engines_call_an_option_is_told(name: str, hint: str) -> None:
    with pytest.raises(TypeError, match=f"there is no search option '{name}'") as caught:
        Query.of("a cat", **{name: 3})  # type: ignore[misc]
    assert str(caught.value).endswith(hint or f"'{name}'")
