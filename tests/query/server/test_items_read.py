"""Items by id, by filter, and all of them page by page."""

import base64
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from oneword.storage import Store

IDS = [
    "plain", "a/b/c", "with space", "100%", "100%25", "%2F", "ünïcödé ☾", "q?x=1&y=2", "#hash", "..", "a/../b", "a//b",
    "/", "semi;colon", "plus+plus", "it's", '"quoted"', "back\\slash", "x/thumbnail/y", "items:get", "null\x00byte",
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(service: Any) -> str:
    """A collection whose items have odd ids."""
    assert service.post("/collections", {"name": "odd", "model": "hash"}).status_code == 201
    items = [{"id": name, "text": f"item {n}", "metadata": {"n": n}} for n, name in enumerate(IDS)]
    told = service.post("/collections/odd/items", {"items": items})
    assert told.json()["added"] == len(IDS), told.text
    return "/collections/odd/items"


@pytest.mark.parametrize("name", IDS)
def test_get_one(service: Any, odd: str, name: str) -> None:
    url = f"{service.url}/v1{odd}/{quote(name, safe='').replace('.', '%2E')}"
    answer = service.http.get(url)
    assert answer.status_code == 200, answer.text
    item = answer.json()
    assert (item["id"], item["text"]) == (name, f"item {IDS.index(name)}")
    assert set(item) == {"id", "modality", "uri", "text", "metadata", "width", "height", "indexed_at"}


def test_get_one_with_more(service: Any, odd: str, refused: Any) -> None:
    item = service.get(f"{odd}/plain?with=vector").json()
    assert set(item) == {"id", "modality", "vector"}
    assert len(item["vector"]) == 256
    item = service.get(f"{odd}/plain?with=thumbnail&with=payload").json()
    assert item["thumbnail"] is None
    assert item["text"] == "item 0"
    refused(service.get(f"{odd}/plain?with=all"), 422, "invalid_field", "with[0]")
    refused(service.get(f"{odd}/nobody"), 404, "item_not_found")
    refused(service.get(f"{odd}/{'x' * 2000}"), 422, "invalid_field")


def test_get_many(service: Any, odd: str, refused: Any) -> None:
    asked = ["100%", "nobody", *IDS[:3], "nobody", "100%"]
    told = service.post(f"{odd}:get", {"ids": asked}).json()
    assert [item["id"] for item in told["items"]] == ["100%", *IDS[:3]]
    assert told["missing"] == ["nobody"]
    assert service.post(f"{odd}:get", {"ids": IDS}).json()["missing"] == []
    refused(service.post(f"{odd}:get", {"ids": []}), 422, "invalid_field", "ids")
    refused(service.post(f"{odd}:get", {"ids": ["a"] * 1001}), 422, "invalid_field", "ids")
    refused(service.post(f"{odd}:get", {"ids": ["a"], "wiht": []}), 422, "unknown_field", "wiht")
    refused(service.post("/collections/nosuch/items:get", {"ids": ["a"]}), 404, "collection_not_found")


def test_delete(service: Any, refused: Any) -> None:
    assert service.post("/collections", {"name": "less", "model": "hash"}).status_code == 201
    path = "/collections/less/items"
    items = [{"id": f"d/{n} ?", "text": f"item {n}", "metadata": {"n": n}} for n in range(10)]
    service.post(path, {"items": items})
    url = f"{service.url}/v1{path}/{quote('d/0 ?', safe='')}"
    assert service.http.delete(url).status_code == 204
    refused(service.http.delete(url), 404, "item_not_found")
    told = service.post(f"{path}:delete", {"ids": ["d/1 ?", "d/2 ?", "d/2 ?", "nobody"]}).json()
    assert told["deleted"] == 2
    told = service.post(f"{path}:delete", {"filter": "n >= 8"}).json()
    assert told["deleted"] == 2
    told = service.post(f"{path}:delete", {"filter": "n >= 8"}).json()
    assert told["deleted"] == 0
    count = service.post(f"{path}:count").json()
    assert count == {"count": 5, "version": told["version"]}
    assert service.post(f"{path}:count", {"filter": "n < 5"}).json()["count"] == 2
    refused(service.post(f"{path}:delete", {}), 422, "invalid_field", "ids")
    refused(service.post(f"{path}:delete", {"ids": ["a"], "filter": "n < 5"}), 422, "invalid_field", "ids")
    refused(service.post(f"{path}:delete", {"filter": "nosuch < 5"}), 422, "bad_filter", "filter")
    refused(service.post(f"{path}:delete", {"filter": ""}), 422, "bad_filter", "filter")
    refused(service.post(f"{path}:delete", {"filter": {"must": []}}), 422, "bad_filter", "filter")
    refused(service.post(f"{path}:count", {"filter": "n <"}), 422, "bad_filter", "filter")
    assert service.post(f"{path}:count").json()["count"] == 5


def pages(service: Any, path: str, **asked: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        answer = service.post(f"{path}:scroll", {**asked, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        cursor = found[-1]["cursor"]
        if cursor is None:
            return found


def test_scroll(service: Any, odd: str, refused: Any) -> None:
    read = pages(service, odd, limit=4)
    assert len({page["version"] for page in read}) == 1
    assert sorted(item["id"] for page in read for item in page["items"]) == sorted(IDS)
    some = pages(service, odd, limit=3, filter="n >= 15", **{"with": []})
    assert sorted(item["id"] for page in some for item in page["items"]) == sorted(IDS[15:])
    assert set(some[0]["items"][0]) == {"id", "modality"}
    one = service.post(f"{odd}:scroll", {"limit": len(IDS), "with": ["vector"]}).json()
    assert len(one["items"]) == len(IDS)
    assert len(one["items"][0]["vector"]) == 256
    assert service.post(f"{odd}:scroll", {"filter": "n > 99"}).json()["items"] == []
    refused(service.post(f"{odd}:scroll", {"limit": 0}), 422, "invalid_field", "limit")


def test_bad_cursors(service: Any, odd: str, refused: Any) -> None:
    cursor = service.post(f"{odd}:scroll", {"limit": 4}).json()["cursor"]
    told = service.post(f"{odd}:scroll", {"limit": 4, "filter": "n > 3", "cursor": cursor})
    assert "another filter" in refused(told, 422, "bad_cursor", "cursor")["detail"]
    written = lambda document: base64.urlsafe_b64encode(json.dumps(document).encode()).decode()  # noqa: E731
    for bad in ("", "x", "☾", "[]", written([]), written({}), written([1, -1, "", ""]), written(["1", 0, "", ""])):
        refused(service.post(f"{odd}:scroll", {"cursor": bad}), 422, "bad_cursor", "cursor")
    version, offset, created, asked = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    gone = written([version + 1000, offset, created, asked])
    refused(service.post(f"{odd}:scroll", {"cursor": gone}), 410, "version_gone")


def test_scroll_while_others_write(service: Any) -> None:
    assert service.post("/collections", {"name": "busy", "model": "hash"}).status_code == 201
    path = "/collections/busy/items"
    before = [f"k{n:03}" for n in range(60)]
    service.post(path, {"items": [{"id": name, "text": f"text {name}"} for name in before]})
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            service.post(path, {"items": [{"id": f"new{turn}", "text": "new"}, {"id": "k000", "text": f"{turn}"}]})
            service.post(f"{path}:delete", {"ids": [f"k{turn % 60:03}"]})
            turn += 1

    first = service.post(f"{path}:scroll", {"limit": 7}).json()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        found, cursor = first["items"], first["cursor"]
        while cursor:
            page = service.post(f"{path}:scroll", {"limit": 7, "cursor": cursor}).json()
            found, cursor = found + page["items"], page["cursor"]
    finally:
        stop.set()
        writer.join()
    assert sorted(item["id"] for item in found) == before


def test_cursor_of_a_collection_made_again(service: Any, db: Path, refused: Any) -> None:
    """By REST, and behind the service's back."""
    for again in ("rest", "elsewhere"):
        assert service.post("/collections", {"name": "again", "model": "hash"}).status_code == 201
        items = [{"id": str(n), "text": f"item {n}"} for n in range(5)]
        service.post("/collections/again/items", {"items": items})
        cursor = service.post("/collections/again/items:scroll", {"limit": 2}).json()["cursor"]
        space = service.get("/collections/again").json()["space"]
        if again == "rest":
            assert service.http.delete(f"{service.url}/v1/collections/again").status_code == 204
            assert service.post("/collections", {"name": "again", "model": "hash"}).status_code == 201
        else:
            store = Store(db)
            store.drop("again")
            store.create("again", space)
        service.post("/collections/again/items", {"items": items})
        told = service.post("/collections/again/items:scroll", {"limit": 2, "cursor": cursor})
        refused(told, 410, "cursor_gone", "cursor")
        assert len(service.post("/collections/again/items:scroll", {"limit": 9}).json()["items"]) == 5
        assert service.http.delete(f"{service.url}/v1/collections/again").status_code == 204
