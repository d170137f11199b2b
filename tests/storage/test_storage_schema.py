from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from oneword.storage import BadItem, Collection, Item


def test_every_field_comes_back(collection: Collection, item: Callable[..., Item]) -> None:
    full = item(
        "photos/a 'b'.jpg",
        [1, 2, 3, 4],
        modality="image",
        uri="s3://bucket/é.jpg",
        text='say "cheese"\n\x00',
        metadata={
            "big": 2**60 + 1,
            "day": datetime(2024, 5, 31, tzinfo=UTC),
            "no": False,
            "tags": ["a", ""],
            "none": [],
            "s": "",
        },
        image_hash="ff",
        width=640,
        height=2**40,
        thumbnail=b"\x00\xff",
        indexed_at=datetime(2024, 6, 1, 1, 2, 3, 456789, tzinfo=UTC),
    )
    bare = item("b")
    collection.upsert([full, bare])
    back = collection.get([full.id, "b"], vectors=True)
    assert back[full.id] == full
    assert replace(back["b"], indexed_at=None) == bare
    assert type(back[full.id].metadata["big"]) is int
    vector = back[full.id].vector
    assert vector is not None
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, full.vector, atol=2**-11)


def test_vectors_and_thumbnails_come_where_asked_for(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", thumbnail=b"x")])
    assert collection.get(["a"])["a"].vector is None
    assert collection.get(["a"])["a"].thumbnail == b"x"
    assert collection.get(["a"], thumbnails=False)["a"].thumbnail is None
    assert next(collection.scan(vectors=True))[0].vector is not None


def test_an_update_clears_what_the_new_item_lacks(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", text="x", metadata={"year": 2020})])
    collection.upsert([item("a")])
    assert collection.get(["a"])["a"].metadata == {}
    assert collection.count("exists(year) or exists(text)") == 0


def test_a_key_has_one_kind(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", metadata={"year": 2020})])
    collection.upsert([item("b", metadata={"year": 2020.5})])
    with pytest.raises(BadItem, match=r"'c'.*'year' as a string \('2020'\).*a number"):
        collection.upsert([item("c", metadata={"year": "2020"})])
    with pytest.raises(BadItem, match=r"'e'.*'new' as a bool.*a string"):
        collection.upsert([item("d", metadata={"new": "x"}), item("e", metadata={"new": True})])
    assert collection.count() == 2
    assert collection.info().metadata_keys == {"year": "number"}


def test_keys_that_differ_in_case_are_two_keys(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", metadata={"Year": "x", "year": 1})])
    assert collection.count("Year = x and year = 1") == 1


@pytest.mark.parametrize("key", ["", "1a", "a b", "a.b", "é", "a`", "x" * 64, 3])
def test_bad_keys(collection: Collection, item: Callable[..., Item], key: Any) -> None:
    with pytest.raises(BadItem, match="metadata key"):
        collection.upsert([item("a", metadata={key: 1})])


@pytest.mark.parametrize("value", [None, {}, b"x", ["a", 1], float("nan"), 10**400, "\ud800"])
def test_bad_values(collection: Collection, item: Callable[..., Item], value: Any) -> None:
    with pytest.raises(BadItem, match="'a' has metadata 'key'"):
        collection.upsert([item("a", metadata={"key": value})])


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (None, "no vector"),
        ([1, 0, 0], r"shape \(3,\), expected \(4,\)"),
        ([[1, 0, 0, 0]], "shape"),
        ([np.nan, 0, 0, 0], "NaN"),
        ([np.inf, 0, 0, 0], "NaN or infinity"),
        ([0, 0, 0, 0], "length 0.0"),
        ([1.002, 0, 0, 0], "length 1.002"),
        ([3e38, 3e38, 0, 0], "length"),
    ],
)
def test_bad_vectors(collection: Collection, item: Callable[..., Item], vector: Any, said: str) -> None:
    bad = replace(item("bad"), vector=None if vector is None else np.array(vector, np.float32))
    with pytest.raises(BadItem, match=f"'bad'.*{said}"):
        collection.upsert([item("good"), bad])
    assert collection.count() == 0


def test_a_vector_of_nearly_unit_length_is_good(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([replace(item("a"), vector=np.array([1.0009, 0, 0, 0], np.float32))])
    assert collection.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"modality": "sound"},
        {"uri": None},
        {"content_hash": None},
        {"text": "\ud800"},
        {"image_hash": "\ud800"},
    ],
)
def test_bad_fields(collection: Collection, item: Callable[..., Item], fields: dict[str, Any]) -> None:
    with pytest.raises(BadItem, match=next(iter(fields))):
        collection.upsert([item("a", **fields)])


def test_an_empty_id(collection: Collection, item: Callable[..., Item]) -> None:
    with pytest.raises(BadItem, match="empty id"):
        collection.upsert([item("")])
