"""POST /v1/collections/{collection}/items: what is stored, and what becomes of each item."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from oneword import engine
from oneword.indexer import index_paths

ITEMS = "/collections/default/items"


def upsert(service: Any, *items: Any, **more: Any) -> Any:
    answer = service.post(ITEMS, {"items": list(items), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def stored(service: Any, *ids: str, **more: Any) -> Any:
    answer = service.post(f"{ITEMS}:get", {"ids": list(ids), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_every_kind_of_item(service: Any, drawn: Any) -> None:
    vector = np.random.default_rng(0).normal(size=256)
    told = upsert(
        service,
        {"id": "words", "text": "a hedgehog in the leaves"},
        {"id": "picture", "image": drawn.uri("orange")},
        {"id": "both", "image": drawn.base64("purple"), "text": "a purple wall"},
        {"id": "raw", "vector": vector.tolist(), "modality": "image", "uri": "https://example.org/raw.jpg"},
        {"id": "own", "vector": vector.tolist(), "text": "words with a vector of their own"},
    )
    assert (told["added"], told["updated"], told["refused"]) == (5, 0, 0)
    assert [one["status"] for one in told["items"]] == ["added"] * 5
    everything = {"with": ["payload", "vector", "thumbnail"]}
    words, picture, both, raw, own = stored(service, "words", "picture", "both", "raw", "own", **everything)
    assert (words["modality"], words["text"], words["uri"]) == (
        "text", "a hedgehog in the leaves", "urn:oneword:item:words"
    )  # fmt: skip
    assert (picture["modality"], picture["width"], picture["height"], picture["text"]) == ("image", 40, 30, None)
    assert picture["thumbnail"].startswith("data:image/")
    assert words["thumbnail"] is None
    assert (both["modality"], both["text"]) == ("image", "a purple wall")
    assert (raw["modality"], raw["uri"]) == ("image", "https://example.org/raw.jpg")
    unit = vector / np.linalg.norm(vector)
    for one in (raw, own):
        assert np.allclose(one["vector"], unit, atol=1e-3)
    assert own["modality"] == "text"
    assert service.search({"text": "a hedgehog in the leaves"})["hits"][0]["id"] == "words"


def test_a_vector_that_a_client_brought_is_nobody_elses(service: Any, db: Path) -> None:
    """Else whoever may write could plant any vector for any text."""
    planted = [1.0] + [0.0] * 255
    upsert(service, {"id": "planted", "text": "an odd sentence", "vector": planted})
    Path("odd.txt").write_text("an odd sentence", encoding="utf-8")
    report = index_paths(["odd.txt"], db=str(db))
    assert (report.embedded, report.reused) == (1, 0)


def test_same_vectors_as_from_the_indexer(service: Any, drawn: Any) -> None:
    upsert(service, {"id": "copy", "image": drawn.uri("red")}, {"id": "twin", "text": "we saw an owl at night"})
    copy, twin = stored(service, "copy", "twin", **{"with": ["vector"]})
    for item in (copy, twin):
        best = service.search({"vector": item["vector"], "limit": 2, "with": ["vector"]})["hits"]
        assert {hit["score"] for hit in best} == {best[0]["score"]}
        assert best[0]["vector"] == best[1]["vector"] == item["vector"]


def test_ids_by_uri_and_by_content(service: Any, drawn: Any) -> None:
    uri = "https://example.org/a b.jpg"
    told = upsert(
        service,
        {"text": "content decides"},
        {"text": "content decides", "metadata": {"note": "again"}},
        {"text": "a URI decides", "uri": uri},
        {"image": drawn.uri("white")},
    )
    first, again, by_uri, picture = (one["id"] for one in told["items"])
    assert first == again == engine.Text(text="content decides").content_hash[:32]
    assert by_uri == hashlib.sha256(uri.encode()).hexdigest()[:16]
    assert len(picture) == 32
    assert stored(service, first)[0]["metadata"] == {"note": "again"}  # the last counts
    told = upsert(service, {"text": "another text", "uri": uri})
    assert told["items"] == [{"id": by_uri, "status": "updated"}]


def test_counts_of_added_and_updated(service: Any) -> None:
    first = upsert(service, {"id": "u1", "text": "one"}, {"id": "u2", "text": "two"})
    second = upsert(service, {"id": "u2", "text": "two, changed"}, {"id": "u3", "text": "three"})
    assert (second["added"], second["updated"], second["refused"]) == (1, 1, 0)
    assert [one["status"] for one in second["items"]] == ["updated", "added"]
    assert second["version"] > first["version"]
    assert stored(service, "u2")[0]["text"] == "two, changed"


def test_one_id_twice_is_one_item(service: Any) -> None:
    told = upsert(service, {"id": "double", "text": "first"}, {"id": "double", "text": "last"})
    assert [one["text"] for one in stored(service, "double")] == ["last"]
    assert [one["status"] for one in told["items"]] == ["added", "updated"]
    assert (told["added"], told["updated"]) == (1, 1)


def test_bad_items_do_not_fail_the_others(service: Any, drawn: Any) -> None:
    told = upsert(
        service,
        {"id": "fine", "text": "fine"},
        {"id": "blank", "text": "  "},
        {"id": "nothing"},
        {"id": "broken", "image": "%"},
        {"id": "short", "vector": [1.0, 2.0]},
        {"id": "zero", "vector": [0.0] * 256},
        {"id": "local", "text": "a", "uri": "file:///etc/passwd"},
        {"vector": [1.0] * 256},
        {"id": "kind", "text": "a", "modality": "image"},
        {"id": "secret", "text": "a", "metadata": {"_uri": "x"}},
        {"id": "wrong", "text": "a", "metadata": {"count": "many"}},
        {"id": "right", "text": "a", "metadata": {"count": 3}},
    )
    statuses = {one["id"]: one["status"] for one in told["items"]}
    assert [name for name, status in statuses.items() if status == "added"] == ["fine", "wrong"]
    assert (told["added"], told["refused"]) == (2, 10)
    errors = {one["error"]["field"]: one["error"] for one in told["items"] if one["status"] == "refused"}
    assert set(errors) == {
        "items[1].text", "items[2]", "items[3].image", "items[4].vector", "items[5].vector", "items[6].uri",
        "items[7]", "items[8].modality", "items[9].metadata._uri", "items[11]",
    }  # fmt: skip
    for place, error in errors.items():
        assert {"type", "title", "status", "code", "detail"} <= set(error), place
    assert stored(service, "blank", "local", "right") == []


def test_all_refused(service: Any, refused: Any) -> None:
    bad = {"items": [{"text": ""}, {"id": "n"}]}
    refused(service.post(ITEMS, bad), 422, "blank_text", "items[0].text")
    refused(service.post(ITEMS, {"items": []}), 422, "invalid_field", "items")
    refused(service.post(ITEMS, {}), 422, "invalid_field", "items")
    refused(service.post(ITEMS, {"items": [{"id": "", "text": "a"}]}), 422, "invalid_field", "items[0].id")
    refused(service.post(ITEMS, {"items": [{"ids": "a"}]}), 422, "unknown_field", "items[0].ids")
    huge = {"items": [{"text": "a", "metadata": {"n": 10**400}}]}
    refused(service.post(ITEMS, huge), 422, "bad_item", "items[0]")
    null = {"items": [{"text": "a", "metadata": {"n": None}}]}
    refused(service.post(ITEMS, null), 422, "invalid_field", "items[0].metadata.n")
    conflict = {"items": [{"id": "c", "text": "a", "metadata": {"width of it": [1]}}]}
    refused(service.post(ITEMS, conflict), 422, "invalid_field")


@pytest.mark.parametrize("value", ["text", "2024-05-01T10:00:00Z", True, 7, -2.5, ["a", "b"], [], 2**62, "☾ \" '"])
def test_kinds_of_metadata(service: Any, value: Any) -> None:
    key = f"kind_{type(value).__name__}"
    upsert(service, {"id": "meta", "text": "with facts", "metadata": {key: value}})
    (item,) = stored(service, "meta")
    assert item["metadata"] == {key: value}
    assert type(item["metadata"][key]) is type(value)


def test_metadata_has_one_kind_a_key(service: Any, refused: Any) -> None:
    upsert(service, {"id": "n", "text": "a", "metadata": {"pages": 3}})
    described = service.get("/collections/default").json()
    assert described["metadata_keys"]["pages"]
    told = refused(
        service.post(ITEMS, {"items": [{"id": "m", "text": "a", "metadata": {"pages": "three"}}]}), 422, "bad_item"
    )
    assert "pages" in told["detail"]


def test_fingerprint(service: Any, refused: Any) -> None:
    space = service.get("/collections/default").json()["space"]
    item = {"id": "checked", "vector": [1.0] * 256}
    assert upsert(service, item, fingerprint=space["fingerprint"])["added"] == 1
    refused(service.post(ITEMS, {"items": [item], "fingerprint": "0" * 16}), 409, "space_mismatch")


def test_files(service: Any, refused: Any, drawn: Any) -> None:
    def sent(items: Any) -> Any:
        files = {"one": ("1.png", drawn.png("cyan")), "two": ("2.png", drawn.png("pink"))}
        return service.http.post(f"{service.url}/v1{ITEMS}", files=files, data={"items": json.dumps(items)})

    items = [{"id": "f1", "image": "upload:one"}, {"id": "f2", "image": "upload:two", "text": "pink"}]
    assert sent({"items": items}).json()["added"] == 2
    assert sent(items).json()["updated"] == 2  # the list alone will do
    assert {item["id"] for item in stored(service, "f1", "f2")} == {"f1", "f2"}
    told = sent([*items, {"id": "f3", "image": "upload:three"}]).json()
    assert told["items"][2]["error"]["field"] == "items[2].image"
    refused(sent([{"image": "upload:three"}]), 422, "no_upload", "items[0].image")
    refused(sent([3]), 422, "invalid_field", "items[0]")


def test_a_write_is_seen_at_once_by_everybody(service: Any) -> None:
    with httpx.Client() as another:
        for turn in range(15):
            upsert(service, {"id": "seen", "text": f"the quick fox number {turn}"})
            query = {"text": f"the quick fox number {turn}", "limit": 1}
            found = another.post(f"{service.url}/v1/collections/default/search", json=query).json()["hits"][0]
            assert (found["id"], found["text"]) == ("seen", query["text"])
            got = another.get(f"{service.url}/v1{ITEMS}/seen").json()
            assert got["text"] == query["text"]
            count = another.post(f"{service.url}/v1{ITEMS}:count", json={"filter": "id = seen"}).json()
            assert count["count"] == 1
            assert service.http.delete(f"{service.url}/v1{ITEMS}/seen").status_code == 204
            assert another.get(f"{service.url}/v1{ITEMS}/seen").status_code == 404
