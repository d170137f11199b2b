"""Text that images show: stored beside items, searched by keywords, in no vector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import BadItem, Collection, FilterError, ImageWord, Item, Store, export_parquet, import_parquet
from oneword.storage.schema import TEXT_COLUMNS

Make = Callable[..., Item]

WORDS = (ImageWord(text="INVOICE", x=0.25, y=0.5, width=0.125, height=0.0625, confidence=0.5),)
SHOWN: dict[str, Any] = {"image_text": "INVOICE", "image_words": WORDS}
EMPTY: dict[str, Any] = {"image_text": "", "image_words": ()}


def test_columns_are_added_with_the_first_text(collection: Collection, item: Make) -> None:
    collection.upsert([item("a")])
    assert not set(TEXT_COLUMNS) & set(collection.schema().names)
    assert collection.get(["a"], words=True)["a"].image_text is None
    collection.upsert([item("b", **SHOWN), item("c", **EMPTY)])
    found = collection.get("abc", words=True)
    assert [found[one].image_text for one in "abc"] == [None, "INVOICE", ""]
    assert [found[one].image_words for one in "abc"] == [None, WORDS, ()]


def test_items_have_the_text_and_the_words_only_on_request(collection: Collection, item: Make) -> None:
    collection.upsert([item("a", **SHOWN)])
    hits = [hit.item for hit in collection.search([1, 0, 0, 0])]
    for one in (*hits, *collection.get("a").values(), *next(iter(collection.scan())), *collection.page()[0]):
        assert (one.image_text, one.image_words) == ("INVOICE", None)


def test_hits_of_an_ann_index_have_the_text(collection: Collection, item: Make) -> None:
    pytest.importorskip("faiss")
    collection.upsert([item("a"), item("b", **SHOWN)])
    collection.build_index()
    collection.upsert([item("a", **EMPTY), item("c", **SHOWN)])  # after the build
    for _ in range(2):
        found = {hit.item.id: hit.item.image_text for hit in collection.search([1, 0, 0, 0])}
        assert found == {"a": "", "b": "INVOICE", "c": "INVOICE"}
        check = collection.verify()
        assert check is not None
        assert check.right
        collection.build_index()


def test_an_export_brings_them_back(collection: Collection, store: Store, item: Make, tmp_path: Path) -> None:
    collection.upsert([item("a"), item("b", **SHOWN), item("c", **EMPTY)])
    exported = export_parquet(collection, tmp_path / "things.parquet")
    assert import_parquet(store, exported.file, "copy").added == 3
    assert import_parquet(store, exported.file, "copy").unchanged == 3
    assert store.open("copy").get("abc", words=True) == collection.get("abc", words=True)


def test_it_can_be_filtered_by_once_it_is_there(collection: Collection, item: Make) -> None:
    collection.upsert([item("a")])
    with pytest.raises(FilterError, match="no field 'image_text'"):
        collection.count("exists(image_text)")
    collection.upsert([item("b", **SHOWN), item("c", **EMPTY)])
    assert collection.count("exists(image_text)") == 2
    assert collection.count("image_text contains 'VOICE'") == 1


@pytest.mark.parametrize("wrong", [{"image_text": "\ud800"}, {"image_text": 7}, {"image_words": ("word",)}])
def test_what_cannot_be_stored_is_refused(collection: Collection, item: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadItem):
        collection.upsert([item("a", **wrong)])
    assert collection.count() == 0
