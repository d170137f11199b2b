from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import Collection, FilterError, Item, MissingKeywords, Store, VersionNotFound, text_index
from oneword.storage.export import export_parquet
from oneword.storage.importing import import_parquet
from oneword.storage.ranking import order

TEXTS = {
    "a": "a red cat on the mat",
    "b": "Ein süßes Kätzchen schläft",
    "c": "日本語の猫が好き",
    "d": "我喜欢红色的猫",
    "e": None,
    "f": "",
    "g": "кошка спит",
    "h": "the cats",
    "i": "x" * 200,
    "j": "don't AND well-known C++ foo_bar",
    "k": "แมวสีแดง",
    "l": "the red, red dog",
}


@pytest.fixture
def texts(collection: Collection, item: Callable[..., Item]) -> Collection:
    collection.upsert(item(item_id, text=text, metadata={"n": n}) for n, (item_id, text) in enumerate(TEXTS.items()))
    return collection


def found(collection: Collection, words: str, **options: Any) -> str:
    return "".join(item_id for _, item_id in collection.keywords(words, count=20, **options))


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("cat", "a"),
        ("CAT", "a"),
        ("red cat", "al"),
        ("red dog cat", "la"),
        ("the", "hal"),
        ("susses", "b"),
        ("SÜSSES katzchen", "b"),
        ("猫", "dc"),
        ("喜欢", "d"),
        ("日本語", "c"),
        ("КОШКА", "g"),
        ("แมว", "k"),
        ("x" * 200, "i"),
        ("foo", "j"),
        ("c++", "j"),
        ("don't", "j"),
        ("nothing like it", ""),
        # words, never operators
        ("AND", "j"),
        ("cat AND dog", "jla"),
        ("cat OR dog", "la"),
        ("cat -red", "al"),
        ("+cat +nothing", "a"),
        ('"mat cat"', "a"),
        ("text:cat", "a"),
        ("ca*", ""),
        ("cat~2", "a"),
        ("cat^9 dog", "la"),
        ("id = 'a' OR true --", "a"),
        # no word in it
        ("", ""),
        ("   ", ""),
        ("!!! -- ... \"'", ""),
        ("+", ""),
        ("*", ""),
        ("(", ""),
        ("\x00", ""),
        ("\ud800", ""),
        ("cat\ud800mat", "a"),
    ],
)
def test_words(texts: Collection, words: str, ids: str) -> None:
    assert sorted(found(texts, words)) == sorted(ids)
    if ids in ("al", "la", "hal"):
        assert found(texts, words)[0] == ids[0]


def test_scores_fall_and_equal_ones_go_by_id(collection: Collection, item: Callable[..., Item]) -> None:
    ids = [f"i{number:03d}" for number in np.random.default_rng(0).permutation(400)]
    collection.upsert(item(item_id, text="same words here") for item_id in ids[:300])
    collection.index_keywords()
    collection.upsert(item(item_id, text="same words here") for item_id in ids[300:])
    assert collection.index_keywords()  # until then LanceDB reckons the new ones' scores with other frequencies
    for count in (1, 3, 100, 399, 400, 500):
        ranked = collection.keywords("words", count=count)
        assert [item_id for _, item_id in ranked] == sorted(ids)[:count]
    assert collection.keywords("words", count=0) == []


def test_a_word_repeated_counts_once(texts: Collection) -> None:
    once = texts.keywords("red cat", count=9)
    assert texts.keywords("red cat red, CAT! " * 3000, count=9) == once
    many = " ".join(f"word{number}" for number in range(20_000))
    assert texts.keywords(f"cat {many}", count=9)[0][1] == "a"


def test_rows_written_replaced_and_deleted_later(texts: Collection, item: Callable[..., Item]) -> None:
    texts.index_keywords()
    before = texts.version
    texts.upsert([item("n", text="猫 cat"), item("l", text="a wolf")])
    texts.delete(["d"])
    for _ in range(2):
        assert sorted(found(texts, "cat")) == ["a", "n"]
        assert sorted(found(texts, "猫")) == ["c", "n"]
        assert found(texts, "dog") == ""
        assert found(texts, "wolf") == "l"
        # the version before them, whatever came since
        assert found(texts, "cat", version=before) == "a"
        assert sorted(found(texts, "猫", version=before)) == ["c", "d"]
        assert found(texts, "dog", version=before) == "l"
        assert found(texts, "wolf", version=before) == ""
        texts.optimize()


def test_under_a_filter(texts: Collection) -> None:
    assert found(texts, "red", filter="n < 5") == "a"
    assert found(texts, "red", filter="n < 5 and id != a") == ""
    assert sorted(found(texts, "the", filter="not id = h")) == ["a", "l"]
    assert [item_id for _, item_id in texts.keywords("the", count=1, filter="not id = h")] == ["l"]
    assert found(texts, "red", filter="n < 5", version=texts.version) == "a"
    with pytest.raises(FilterError):
        texts.keywords("red", count=1, filter="nope = 1")


def test_the_filter_comes_before_the_ranking(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert(item(f"i{n:03d}", text="cat " * (200 - n) + "dog", metadata={"n": n}) for n in range(200))
    assert [item_id for _, item_id in collection.keywords("cat", count=1, filter="n = 190")] == ["i190"]


def made_before_there_were_indexes(collection: Collection) -> int:
    """Takes the keyword index away, as collections of earlier releases are without; the version."""
    collection._table()._lance.drop_index("text_idx")
    assert collection._table().indexes() == []
    return collection.version


def test_a_search_never_writes(texts: Collection, store: Store) -> None:
    before = texts.versions()
    with store.open("things").writing():  # a writer neither waits for a search nor is it waited for
        assert found(texts, "cat") == "a"
        assert [hit.item.id for hit in texts.search([1, 0, 0, 0], keywords="cat", limit=1)] == ["a"]
        assert [hit.item.id for hit in texts.search(keywords="cat")] == ["a"]
    assert texts.versions() == before


def test_a_search_without_the_index_says_what_to_run_and_makes_none(texts: Collection) -> None:
    version = made_before_there_were_indexes(texts)
    for search in (
        lambda: texts.keywords("cat", count=1),
        lambda: texts.search([1, 0, 0, 0], keywords="cat"),
        lambda: texts.search(keywords="cat"),
    ):
        with pytest.raises(MissingKeywords, match=r"'things' has no keyword index.*oneword build things"):
            search()
    assert texts.version == version
    assert len(texts.search([1, 0, 0, 0])) == 10
    assert texts.index_keywords()
    assert found(texts, "cat") == "a"
    assert not texts.index_keywords()
    with pytest.raises(MissingKeywords, match="newest version"):
        texts.keywords("cat", count=1, version=version)
    with pytest.raises(VersionNotFound, match="10000"):
        texts.keywords("cat", count=1, version=10_000)


def test_a_damaged_index_is_made_again_by_a_build_and_stops_no_write(
    texts: Collection, store: Store, item: Callable[..., Item], tmp_path: Path
) -> None:
    for file in (tmp_path / "db" / "things.lance" / "_indices").rglob("*.lance"):
        file.write_bytes(bytes(file.stat().st_size))
    texts = Store(store.uri).open("things")
    texts.upsert([item("n", text="new")])
    with pytest.raises(MissingKeywords, match=r"a damaged one.*oneword build things"):
        texts.keywords("cat", count=1)
    assert texts.index_keywords()
    assert found(texts, "cat") == "a"
    assert found(texts, "new") == "n"


@pytest.mark.parametrize("way", ["upsert", "insert", "restore", "copy", "import", "maintain", "recover"])
def test_whatever_writes_leaves_the_index(
    texts: Collection, store: Store, item: Callable[..., Item], tmp_path: Path, way: str
) -> None:
    version, target = made_before_there_were_indexes(texts), texts
    match way:
        case "upsert":
            texts.upsert([item("n", text="new")])
        case "insert":
            with texts.writing():
                texts.insert([item("n", text="new")])
        case "restore":
            texts.index_keywords()
            texts.restore(version)
        case "copy":
            target = store.copy("things", "copied")
        case "import":
            file = export_parquet(texts, tmp_path).file
            import_parquet(store, file, "imported")
            target = store.open("imported")
        case "maintain":
            texts.maintain()
        case "recover":
            texts.index_keywords()
            newest = min((tmp_path / "db" / "things.lance" / "_versions").glob("*.manifest"))
            newest.write_bytes(newest.read_bytes()[:40])
            assert Store(store.uri).recover("things") == version
            target = Store(store.uri).open("things")
    assert found(target, "cat") == "a"


def test_the_index_is_there_before_the_first_item(
    collection: Collection, store: Store, space: dict[str, Any], item: Callable[..., Item]
) -> None:
    assert [one.kind for one in collection._table().indexes()] == ["FTS"]
    opened = store.open_or_create("other", space)
    assert opened.keywords("cat", count=1) == []
    opened.upsert([item("a", text="cat")])
    assert found(opened, "cat") == "a"
    opened.optimize()
    assert [(one.kind, one.stale) for one in opened._table().indexes()] == [("FTS", 0)]


def test_many_new_rows_are_covered(
    texts: Collection, item: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_index, "MOST_STALE", 3)
    texts.upsert(item(f"o{number}", text="old") for number in range(100))
    texts.index_keywords()
    texts.upsert(item(f"n{number}", text="new") for number in range(3))
    assert not texts.index_keywords()
    assert len(texts.keywords("new", count=9)) == 3
    texts.upsert([item("n3", text="new")])
    assert texts.index_keywords()
    assert [one.stale for one in texts._table().indexes()] == [0]
    assert len(texts.keywords("new", count=9)) == 4
    monkeypatch.setattr(text_index, "MOST_STALE", 1000)
    texts.upsert(item(f"m{number}", text="new") for number in range(13))  # more than a tenth of all
    assert texts.index_keywords()


def test_an_empty_collection(collection: Collection, item: Callable[..., Item]) -> None:
    assert found(collection, "cat") == ""
    collection.upsert([item("a")])
    assert found(collection, "cat") == ""
    collection.upsert([item("b", text="cat")])
    assert found(collection, "cat") == "b"


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        yield Store(folder)


WORDS = ["cat", "dog", "red", "the", "猫", "été"]
texts_of = st.none() | st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
written = st.dictionaries(st.sampled_from([f"i{number}" for number in range(40)]), texts_of, max_size=40)


@settings(max_examples=15)
@given(
    first=written,
    second=written,
    deleted=st.sets(st.sampled_from([f"i{number}" for number in range(40)])),
    data=st.data(),
)
def test_any_count_is_the_head_of_all(shared: Store, first: Any, second: Any, deleted: Any, data: Any) -> None:
    """What has a word is found, nothing else is, and a smaller count is the beginning of a larger one."""
    collection = shared.open_or_create("random", {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"})
    vector = np.array([1, 0, 0, 0], np.float32)
    fields: dict[str, Any] = {"modality": "text", "uri": "u", "content_hash": "h", "vector": vector}
    collection.delete_where("exists(id)")
    for part in (first, second):
        collection.upsert(Item(id=item_id, text=text, **fields) for item_id, text in part.items())
        collection.index_keywords()
    collection.delete(deleted)
    stored = {item_id: text for item_id, text in {**first, **second}.items() if item_id not in deleted}
    words = data.draw(st.lists(st.sampled_from([*WORDS, "never"]), min_size=1, max_size=3))
    everything = collection.keywords(" ".join(words), count=100)
    assert {item_id for _, item_id in everything} == {
        item_id for item_id, text in stored.items() if text and set(words) & set(text.split())
    }
    assert everything == sorted(everything, key=order)
    for count in (1, 2, 5):
        assert collection.keywords(" ".join(words), count=count) == everything[:count]


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_no_words_raise(shared: Store, words: str) -> None:
    collection = shared.open_or_create("any", {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"})
    assert collection.keywords(words, count=3) == []
