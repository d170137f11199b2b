"""A question to JSON and an answer back: nothing is lost, and nothing but the contract's fields is sent."""

import base64
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine import Image as EngineImage
from oneword.engine import decode
from oneword.engine.errors import UnreadableFile
from oneword.engine.texts import is_blank
from oneword.engine.words import Word
from oneword.query import BadQuery, Composed, Hit, Image, Interleaved, Like, Query, SearchResult, Text, Vector
from oneword.query.client.answers import result_of
from oneword.query.server.queries import QueryIn
from oneword.query.wire import image_uri, to_json
from oneword.storage import And, AnyOf, Contains, Exists, Match, Not, Or, Range, filter_from_json, filter_to_json

PNG = io.BytesIO()
PIL.Image.new("RGB", (1, 1), "red").save(PNG, "PNG")

weights = st.floats(-10, 10).filter(lambda weight: weight != 0)
pictures = st.sampled_from([PNG.getvalue(), PIL.Image.new("L", (2, 1)), "https://example.org/cat.jpg"])
said = st.text(min_size=1).filter(lambda text: not is_blank(text))
crops = st.none() | st.sampled_from([(0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.5, 0.5)])
parts = st.one_of(
    st.builds(Text, text=said, weight=weights),
    st.builds(Image, image=pictures, crop=crops, weight=weights),
    st.builds(Composed, image=pictures, crop=crops, edit=said, weight=weights),
    st.builds(
        lambda first, rest, weight: Interleaved(pieces=(first, *rest), weight=weight),
        st.builds(Image, image=pictures, crop=crops),
        st.lists(said | st.builds(Image, image=pictures, crop=crops), min_size=1, max_size=3),
        weights,
    ),
    st.builds(Like, id=st.text(min_size=1), weight=weights),
    st.builds(Vector, values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), weight=weights),
)
scalars = st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
conditions = st.one_of(
    st.builds(Match, st.text(min_size=1), scalars),
    st.builds(AnyOf, st.text(min_size=1), st.lists(scalars, max_size=3).map(tuple)),
    st.builds(Range, st.text(min_size=1), gte=st.integers(), lt=st.datetimes(timezones=st.just(UTC))),
    st.builds(Exists, st.text(min_size=1)),
    st.builds(Contains, st.text(min_size=1), st.text()),
)
filters = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(Not, inner), *(st.builds(kind, st.lists(inner, max_size=3).map(tuple)) for kind in (And, Or))
    ),
    max_leaves=6,
)
queries = st.builds(
    Query,
    parts=st.lists(parts, min_size=1, max_size=4).map(tuple),
    filter=st.none() | filters,
    modality=st.sampled_from([None, "image", "text"]),
    limit=st.integers(1, 1_000),
    offset=st.integers(0, 100),
    min_score=st.none() | st.floats(-1, 1),
    view=st.none() | st.text(min_size=1),
    explain=st.integers(0, 50),
    keywords=st.none() | st.text(min_size=1).filter(str.strip),
    fusion=st.sampled_from(["rrf", "weighted"]),
    keyword_weight=st.floats(0, 1),
    diversity=st.floats(0, 1),
    group_by=st.none() | st.text(min_size=1),
    fold_copies=st.none() | st.floats(0, 1),
    version=st.none() | st.integers(1, 2**63 - 1),
    rerank=st.none() | st.text(min_size=1),
    rerank_depth=st.integers(1, 200),
    rerank_seconds=st.floats(0, 60),
    include=st.frozensets(st.sampled_from(["payload", "vector", "thumbnail"])),
)

FIELDS = {
    *("parts", "filter", "view", "modality", "limit", "offset", "min_score", "diversity", "group_by", "fold_copies"),
    *("keywords", "hybrid", "version", "explain", "with", "rerank", "rerank_depth", "rerank_seconds"),
}
PART = {"text", "image", "composed", "like", "vector"}


def assert_same(told: Any, part: Image | Composed) -> bool:
    assert_same_image(told["image"], part.image)
    assert told.get("crop") == (None if part.crop is None else list(part.crop))
    return True


@given(queries)
def test_a_query_becomes_json_of_the_contract_and_nothing_is_lost(query: Query) -> None:
    document = to_json(query)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) <= FIELDS
    for part, told in zip(query.parts, document["parts"], strict=True):
        assert len(set(told) & PART) == 1
        assert set(told) <= PART | {"weight", "crop"}
        assert told.get("weight", 1) == part.weight
        match part:
            case Text() | Like():
                assert told.get("text", told.get("like")) == getattr(part, "text", getattr(part, "id", None))
            case Image():
                assert_same(told, part)
            case Composed():
                assert set(told["composed"]) <= {"image", "crop", "edit"}
                assert told["composed"]["edit"] == part.edit
                assert_same(told["composed"], part)
            case Interleaved():
                for one, piece in zip(told["composed"], part.pieces, strict=True):
                    assert one == piece if isinstance(piece, str) else assert_same(one, piece)
            case Vector():
                assert told["vector"] == list(part.values)
    names = "view modality limit offset min_score diversity group_by version explain rerank rerank_depth rerank_seconds"
    for name in names.split():
        assert document.get(name, getattr(Query, name)) == getattr(query, name)
    assert set(document.get("with", ["payload"])) == query.include
    if query.filter is not None:
        assert document["filter"] == filter_to_json(query.filter)
        filter_from_json(document["filter"])
    assert "filter" in document or query.filter is None
    how = document.get("hybrid", {"keywords": document.get("keywords")})
    assert set(how) <= {"keywords", "fusion", "keyword_weight"}
    assert not {"keywords", "hybrid"} <= set(document), "said once"
    assert how["keywords"] == query.keywords
    if query.keywords is not None:
        assert how.get("fusion", "rrf") == query.fusion
        assert how.get("keyword_weight", 0.5) == query.keyword_weight


@given(queries)
def test_the_service_reads_the_query_that_was_written(query: Query) -> None:
    asked = QueryIn.model_validate_json(json.dumps(to_json(query)))
    pieces = [one for part in query.parts for one in (part.pieces if isinstance(part, Interleaved) else [part])]
    given_ = [one for one in pieces if isinstance(one, Image | Composed)]
    assert [(one.text, one.crop) for one in asked.pictures()] == [
        (image_uri(one.image), None if one.crop is None else list(one.crop)) for one in given_
    ]
    read = asked.query([EngineImage(pixels=PIL.Image.new("RGB", (1, 1)))] * len(given_))
    for part, told in zip(query.parts, read.parts, strict=True):
        assert (type(told), told.weight) == (type(part), part.weight)
        for name in ("text", "edit", "id", "values"):
            assert len(getattr(told, "pieces", ())) == len(getattr(part, "pieces", ()))
            assert getattr(told, name, None) == getattr(part, name, None)
    assert read.filter == (None if query.filter is None else filter_from_json(filter_to_json(query.filter)))
    usual = {} if query.keywords is not None else {"fusion": Query.fusion, "keyword_weight": Query.keyword_weight}
    assert replace(read, parts=query.parts, filter=query.filter) == replace(query, **usual)


def assert_same_image(uri: str, picture: Any) -> None:
    if isinstance(picture, str):
        assert uri == picture
        return
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    if isinstance(picture, bytes):
        assert base64.b64decode(data) == picture
    else:
        assert decode(base64.b64decode(data)).tobytes() == EngineImage(pixels=picture).pixels.tobytes()


def test_what_is_as_usual_is_not_said() -> None:
    assert to_json(Query.of("cat")) == {"parts": [{"text": "cat"}]}
    assert to_json(Query.of(keywords="cat")) == {"keywords": "cat"}
    assert to_json(Query.of("cat", keywords="cat", fusion="weighted"))["hybrid"] == {
        "keywords": "cat",
        "fusion": "weighted",
        "keyword_weight": 0.5,
    }


def test_numbers_of_numpy_are_numbers() -> None:
    query = Query(
        parts=(Vector(values=np.arange(2, dtype=np.float32), weight=np.float32(0.5)),), limit=np.int64(3), min_score=0
    )
    assert json.dumps(to_json(query)) == (
        '{"parts": [{"vector": [0.0, 1.0], "weight": 0.5}], "limit": 3, "min_score": 0}'
    )


@pytest.mark.parametrize("values", [[float("inf")], ["x"], 3, [10**400]])
def test_vectors_that_json_cannot_hold_are_refused(values: Any) -> None:
    with pytest.raises(BadQuery, match="the vector"):
        to_json(Query(parts=(Vector(values=values),)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_pictures_say_what_they_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture"
    PIL.Image.new("RGB", (8, 8), "red").save(path, kind)
    expected = f"data:image/{kind.lower()};base64,{base64.b64encode(path.read_bytes()).decode()}"
    assert image_uri(path) == image_uri(str(path)) == image_uri(path.read_bytes()) == expected


def test_other_pictures() -> None:
    assert image_uri(b"P6 1 1") == "data:application/octet-stream;base64," + base64.b64encode(b"P6 1 1").decode()
    for uri in ("HTTPS://example.org/x", "http://example.org/x", "data:image/png;base64,AAAA"):
        assert image_uri(uri) == uri
    for path in ("nowhere.png", "~nobody/x.png", "zero\0byte.png", Path()):
        with pytest.raises(UnreadableFile):
            image_uri(path)
    with pytest.raises(BadQuery, match="int"):
        image_uri(3)  # type: ignore[arg-type]


hits = st.builds(
    Hit,
    id=st.text(),
    score=st.floats(-1, 1).map(lambda score: round(score, 6)),
    confidence=st.none() | st.floats(0, 1).map(lambda share: round(share, 4)),
    modality=st.sampled_from(["image", "text"]),
    uri=st.text(),
    text=st.none() | st.text(),
    metadata=st.dictionaries(st.text(), scalars | st.lists(st.text())),
    words=st.lists(st.builds(Word, text=st.text(), score=st.just(0.25)), min_size=1, max_size=2).map(tuple),
    shared=st.lists(st.builds(Word, text=st.text(), score=st.just(0.5)), max_size=2).map(tuple),
    thumbnail=st.none() | st.binary(),
)
results = st.builds(
    SearchResult,
    hits=st.lists(hits, max_size=3).map(tuple),
    total=st.none() | st.integers(0),
    version=st.integers(1),
    encode_ms=st.just(1.5),
    search_ms=st.just(0.125),
    model=st.text(),
    collection=st.text(),
    words=st.lists(st.builds(Word, text=st.text(), score=st.just(0.5)), max_size=2).map(tuple),
)


@given(results)
def test_a_result_comes_back_as_it_was(result: SearchResult) -> None:
    document = json.loads(json.dumps(result.as_dict()))
    assert result_of(document) == result
    assert result_of(document | {"something_new": 1}).as_dict() == result.as_dict()


def test_what_was_not_asked_for_is_empty_and_times_stay_text() -> None:
    hit = {"id": "a", "score": 1, "modality": "image", "vector": [0.5, 0.25]}
    rest = {"timings": {"encode_ms": 0, "search_ms": 0}, "model": "hash", "collection": "default", "version": 1}
    (read,) = result_of({"hits": [hit], **rest})
    assert (read.uri, read.text, read.metadata, read.thumbnail) == ("", None, {}, None)
    assert (read.vector.dtype, read.vector.tolist()) == (np.float32, [0.5, 0.25])
    day = datetime(2020, 5, 1, tzinfo=UTC).isoformat()
    (read,) = result_of({"hits": [hit | {"metadata": {"day": day}}], **rest})
    assert read.metadata == {"day": day}
