"""The words that an image shows, by REST and by the client."""

from pathlib import Path
from typing import Any

import pytest

from oneword.query.client import Client
from oneword.query.matching import excerpt, matches, matching_line, tokens
from oneword.storage import ImageWord, Item, Store

WORDS = (
    ImageWord(text="Café", x=0.25, y=0.5, width=0.125, height=0.0625, confidence=0.5),
    ImageWord(text="open", x=0.5, y=0.5, width=0.125, height=0.0625, confidence=1),
)
PATH = "/collections/default/items"


@pytest.fixture(scope="module", autouse=True)
def _items(service: Any, db: Path) -> None:
    service.post(PATH, {"items": [{"id": "any", "text": "a text"}]})
    collection = Store(db).open("default")
    vector = collection.get(["any"], vectors=True)["any"].vector
    image: dict[str, Any] = {"modality": "image", "uri": "file:///sign.png", "content_hash": "h", "vector": vector}
    long = "\n".join(["line"] * 200 + ["Café open"] + ["line"] * 200)
    collection.upsert(
        [
            Item(id="a sign/1", **image, image_text="Café open", image_words=WORDS),
            Item(id="unread", **image),
            Item(id="blank", **image, image_text="", image_words=()),
            Item(id="page", **image, image_text=long, image_words=()),
        ]
    )


def test_words(service: Any, refused: Any) -> None:
    assert service.get(f"{PATH}/a%20sign%2F1/words").json() == {"words": [vars(word) for word in WORDS]}
    assert service.get(f"{PATH}/a%20sign%2F1/words?keywords=CAFE").json() == {"words": [vars(WORDS[0])]}
    assert service.get(f"{PATH}/unread/words").json() == {"words": None}
    assert service.get(f"{PATH}/blank/words?keywords=a").json() == {"words": []}
    refused(service.get(f"{PATH}/nobody/words"), 404, "item_not_found")


def test_client(service: Any) -> None:
    with Client(service.url) as client:
        assert client.words("a sign/1") == list(WORDS)
        assert client.words("a sign/1", keywords="open") == [WORDS[1]]
        assert client.words("unread") is None
        (item,) = client.get("a sign/1").values()
        assert item.image_text == "Café open"
        hits = {hit.id: hit for hit in client.search(keywords="cafe", limit=10)}
    assert hits.keys() == {"a sign/1", "page"}
    assert (hits["a sign/1"].image_text, hits["a sign/1"].matched) == ("Café open", "Café open")
    assert hits["page"].matched == "Café open"
    found = hits["page"].image_text or ""
    assert found.startswith("…Café open\nline")
    assert found.endswith("…")
    assert len(found) == 302


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Café", "cafe", True),
        ("CAFÉ!", "café au", True),
        ("cafes", "cafe", False),
        ("本", "日本語", True),
        ("", "a", False),
    ],
)
def test_matching(text: str, words: str, expected: bool) -> None:
    assert matches(text, tokens(words)) is expected
    assert matching_line(f"other\n{text}", tokens(words)) == (text if expected else None)


def test_excerpt() -> None:
    assert excerpt("short") == "short"
    text = "a" * 400 + "\nword"
    assert excerpt(text, "word").endswith("a\nword")
