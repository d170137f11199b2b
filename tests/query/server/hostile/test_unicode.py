"""Texts and ids of every script, and those that look like others."""

import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

TEXTS = {
    "composed": unicodedata.normalize("NFC", "é"),
    "decomposed": unicodedata.normalize("NFD", "é"),
    "another a": "c\u0430t",
    "full width": "ｃａｔ",
    "ligature": "ﬁ",
    "right to left": "\u202ecat\u202c",
    "Arabic": "قطة",
    "Hebrew with marks": "חָתוּל",
    "joined emoji": "👩‍👩‍👧‍👦",
    "flag": "🇺🇳",
    "zero width": "c\u200ba\u200dt\u2060",
    "a mark first": "\ufeffcat",
    "line separators": "a\u2028b\u2029c",
    "NUL": "a\0b",
    "controls": "a\x01\x1b[31mb\x7f\x85",
    "tag characters": "cat\U000e0063\U000e0061\U000e0074",
    "noncharacters": "\uffff\ufffe\U0010ffff",
    "private": "\ue000\U000f0000",
    "marks on marks": "Z" + "\u0335" * 200,
    "the replacement": "\ufffd",
    "spaces": "\u00a0a\u3000b\u1680",
    "slash": "a/b//c",
    "dots": "a/../b",
    "percent": "100%25 %2F %zz",
    "query": "a?b=c#d&e;f",
    "colon": "items:delete",
    "plus and space": "a+b c",
    "quotes": "'\"`\\´",
    "ends in space": "cat ",
    "capital": "CAT",
    "dotless": "ıİ",
    "long": "猫" * 1_000,
}


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    target = attack()
    items = [{"id": text, "text": f"about {text}", "metadata": {"name": text}} for text in TEXTS.values()]
    told = target.check(target.post("/items", {"items": items}), 200).json()
    assert (told["added"], told["refused"]) == (len(TEXTS), 0)  # no two of them are one
    return target


@pytest.mark.parametrize("name", TEXTS)
def test_what_was_stored_comes_back(target: Any, name: str) -> None:
    id_ = TEXTS[name]
    text = unicodedata.normalize("NFC", f"about {id_}")  # texts have one normal form; ids and metadata stay
    wanted = {"id": id_, "text": text, "metadata": {"name": id_}}

    def same(item: Any) -> bool:
        return {key: item[key] for key in wanted} == wanted

    (item,) = target.check(target.post("/items:get", {"ids": [id_]}), 200).json()["items"]
    assert same(item)
    if len(id_) < 1_000 and not set(id_) & set("\0\x01\x1b\x7f"):
        path = f"/v1/collections/c/items/{quote(id_, safe='')}"
        assert same(target.check(target.call("GET", path), 200).json())
    asked = {"field": "metadata.name", "match": id_}
    alike = [one for one in TEXTS.values() if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", id_)]
    assert target.check(target.post("/items:count", {"filter": asked}), 200).json()["count"] == len(alike)
    found = target.check(target.post("/search", {"like": "cat", "filter": asked}), 200).json()["hits"]
    assert sorted(hit["id"] for hit in found) == sorted(alike)
    assert sum(map(same, found)) == 1


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_a_question(target: Any, name: str) -> None:
    for document in ({"text": TEXTS[name]}, {"keywords": TEXTS[name]}, {"text": "a", "not": TEXTS[name]}):
        target.check(target.post("/search", document), (200, 422))


def test_one_of_two_that_look_alike_is_deleted(target: Any) -> None:
    twins = {"id": "cafe\u0301", "text": "a"}, {"id": "caf\u00e9", "text": "b"}
    target.check(target.post("/items", {"items": list(twins)}), 200)
    path = f"/v1/collections/c/items/{quote(twins[0]['id'])}"
    target.check(target.call("DELETE", path), 204)
    assert target.post("/items:get", {"ids": [one["id"] for one in twins]}).json()["missing"] == [twins[0]["id"]]


@pytest.mark.parametrize(
    "name", ["ｐhotos", "рhotos", "phоtos", "photos\u200b", "phot\u00f6s", "photos\u0301", "🐈", "photos\u202e", "ﬁ"]
)
def test_collections_that_look_like_others_are_refused(target: Any, name: str) -> None:
    target.check(target.call("POST", "/v1/collections", json={"name": name}), 422, "bad_name")


@pytest.mark.parametrize(
    "key", ["a.b", "a b", "é", "", "a`", "x" * 64, "_own", "__proto__", "a\0", "1a", "meta.", "a-b", "а"]
)
def test_keys_of_metadata_are_plain(target: Any, key: str) -> None:
    told = target.post("/items", {"items": [{"id": "k", "text": "a", "metadata": {key: 1}}]})
    target.check(told, 422, "bad_item")


def test_a_blank_text_is_none(target: Any) -> None:
    for blank in ("", " ", "\n\t", "\u200b", "\u3000", "\ufeff", "\0"):
        told = target.check(target.post("/search", {"text": blank}), (200, 422))
        assert told.status_code == 422 or "hits" in told.json()
