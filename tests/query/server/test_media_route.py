"""Thumbnails, and originals: only what was indexed is ever given out."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword.indexer import index_paths

ITEMS = "/collections/default/items"


@pytest.fixture
def files(tmp_path: Path, drawn: Any) -> Path:
    (tmp_path / "files").mkdir()
    for name, colour in {
        "kept": "red",
        "changed": "blue",
        "linked": "green",
        "gone": "white",
        "odd %41 ü#": "pink",
    }.items():
        (tmp_path / "files" / f"{name}.png").write_bytes(drawn.png(colour))
    (tmp_path / "files" / "cat.txt").write_text("the cat ☾ sleeps", encoding="utf-8")
    return tmp_path / "files"


@pytest.fixture
def indexed(service: Any, db: Path, files: Path) -> Callable[[str], str]:
    """Indexed by another process's hands; by name, the path of the item."""
    index_paths([files], db=str(db), model="hash")
    found = {}
    cursor = None
    while True:
        page = service.post(f"{ITEMS}:scroll", {"cursor": cursor} if cursor else {}).json()
        found |= {item["uri"]: item["id"] for item in page["items"]}
        cursor = page["cursor"]
        if cursor is None:
            break
    return lambda name: f"{ITEMS}/{found[(files / name).as_uri()]}"


def test_thumbnail(service: Any, indexed: Any, refused: Any) -> None:
    answer = service.get(f"{indexed('kept.png')}/thumbnail")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/")
    assert PIL.Image.open(io.BytesIO(answer.content)).size == (40, 30)
    tag = answer.headers["etag"]
    for told in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = service.get(f"{indexed('kept.png')}/thumbnail", headers={"If-None-Match": told})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), told
    other = service.get(f"{indexed('kept.png')}/thumbnail", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert service.get(f"{indexed('changed.png')}/thumbnail").headers["etag"] != tag
    refused(service.get(f"{indexed('cat.txt')}/thumbnail"), 404, "no_thumbnail")
    refused(service.get(f"{ITEMS}/nobody/thumbnail"), 404, "item_not_found")


def test_thumbnail_of_a_replaced_picture_has_another_tag(service: Any, drawn: Any) -> None:
    tags = set()
    for colour in ("red", "blue"):
        service.post(ITEMS, {"items": [{"id": "slash/ed", "image": drawn.uri(colour), "text": "same caption"}]})
        answer = service.get(f"{ITEMS}/slash%2Fed/thumbnail")
        assert answer.status_code == 200
        tags.add(answer.headers["etag"])
    assert len(tags) == 2


def test_original(service: Any, indexed: Any, files: Path) -> None:
    for name in ("kept.png", "odd %41 ü#.png"):
        answer = service.get(f"{indexed(name)}/original")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == (files / name).read_bytes()
    again = service.get(f"{indexed('kept.png')}/original", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 200
    text = service.get(f"{indexed('cat.txt')}/original")
    assert (text.text, text.headers["content-type"]) == ("the cat ☾ sleeps", "text/plain; charset=utf-8")


def test_original_that_is_another(service: Any, indexed: Any, files: Path, drawn: Any, refused: Any) -> None:
    (files / "changed.png").write_bytes(drawn.png("black"))
    refused(service.get(f"{indexed('changed.png')}/original"), 404, "original_gone")
    (files / "changed.png").write_bytes(b"secret")
    refused(service.get(f"{indexed('changed.png')}/original"), 404, "original_gone")
    (files / "changed.png").unlink()
    os.mkfifo(files / "changed.png")
    refused(service.get(f"{indexed('changed.png')}/original"), 404, "original_gone")

    (files / "linked.png").unlink()
    (files / "linked.png").symlink_to(files / "kept.png")
    refused(service.get(f"{indexed('linked.png')}/original"), 404, "original_gone")
    (files / "linked.png").unlink()
    (files / "linked.png").symlink_to("/etc/passwd")
    refused(service.get(f"{indexed('linked.png')}/original"), 404, "original_gone")

    (files / "gone.png").unlink()
    refused(service.get(f"{indexed('gone.png')}/original"), 404, "original_gone")
    (files / "gone.png").mkdir()
    refused(service.get(f"{indexed('gone.png')}/original"), 404, "original_gone")


def test_originals_of_items_that_came_by_rest(service: Any, drawn: Any, refused: Any) -> None:
    service.post(
        ITEMS,
        {
            "items": [
                {"id": "web", "image": drawn.uri("red"), "uri": "https://example.org/red%20one.png"},
                {"id": "bare", "image": drawn.uri("blue")},
                {"id": "bucket", "image": drawn.uri("blue"), "uri": "s3://bucket/blue.png"},
            ]
        },
    )
    answer = service.get(f"{ITEMS}/web/original", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.org/red%20one.png")
    refused(service.get(f"{ITEMS}/bare/original"), 404, "no_original")
    refused(service.get(f"{ITEMS}/bucket/original"), 404, "no_original")
    for uri in ("file:///etc/passwd", "FILE:/etc/passwd", " file:///etc/passwd", "/etc/passwd", "javascript:alert(1)"):
        item = {"id": "file", "image": drawn.uri("red"), "uri": uri}
        refused(service.post(ITEMS, {"items": [item]}), 422, "bad_item", "items[0].uri")
    newline = {"id": "header", "image": drawn.uri("red"), "uri": "https://example.org/\r\nSet-Cookie: a=b"}
    assert service.post(ITEMS, {"items": [newline]}).status_code in (200, 422)
    assert "set-cookie" not in service.get(f"{ITEMS}/header/original", follow_redirects=False).headers
