"""Collections: made, listed, described, dropped; made again behind the service's back; their ANN index."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.engine.config import EngineConfig
from oneword.engine.models import load
from oneword.engine.views import DEFAULT
from oneword.indexer import index_paths
from oneword.storage import Store


@pytest.fixture(scope="module")
def db(db: Path) -> Path:
    """With a collection of model `mini`, which the service therefore loads before it is ready."""
    Store(db).create("drawings", load("mini").space(DEFAULT).as_dict())
    return db


@pytest.fixture
def made(service: Any) -> Any:
    """A collection `one` of model `hash`."""
    answer = service.post("/collections", {"name": "one", "model": "hash"})
    yield answer
    service.http.delete(f"{service.url}/v1/collections/one")


def test_create(service: Any, made: Any, refused: Any) -> None:
    assert (made.status_code, made.headers["location"]) == (201, "/v1/collections/one")
    told = made.json()
    assert told == service.get("/collections/one").json()
    assert service.http.get(service.url + made.headers["location"]).json() == told
    assert (told["name"], told["items"], told["model"], told["view"], told["dimension"]) == (
        "one", 0, "hash", "default", 256
    )  # fmt: skip
    assert (told["by_modality"], told["metadata_keys"], told["quarantined"], told["index"]) == ({}, {}, 0, None)
    assert told["bytes_on_disk"] > 0
    assert told["created"] <= told["updated"]
    refused(service.post("/collections", {"name": "one"}), 409, "collection_exists")
    assert service.search({"text": "nothing is there"}, "one")["hits"] == []
    assert service.search({"keywords": "nothing"}, "one")["hits"] == []


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../up", "a" * 64, "-a", "ü", "a.b"])
def test_bad_names(service: Any, refused: Any, name: str) -> None:
    refused(service.post("/collections", {"name": name, "model": "hash"}), 422, "bad_name")


def test_what_cannot_be_made(service: Any, refused: Any) -> None:
    refused(service.post("/collections", {}), 422, "invalid_field", "name")
    refused(service.post("/collections", {"name": "x", "model": "/some/path"}), 422, "bad_model", "model")
    refused(service.post("/collections", {"name": "x", "model": "http://10.0.0.1/v1"}), 422, "bad_model", "model")
    refused(service.post("/collections", {"name": "x", "view": "/etc/passwd"}), 422, "bad_view", "view")
    refused(service.post("/collections", {"name": "x", "model": "hash", "view": "cirr"}), 422, "bad_view")
    refused(service.post("/collections", {"name": "x", "modle": "hash"}), 422, "unknown_field", "modle")


def test_none_of_a_model_that_the_operators_stands_in_for(serve: Any, tmp_path: Path, refused: Any) -> None:
    insisting = serve(db=tmp_path / "db", model=EngineConfig(model="hash"))
    refused(insisting.post("/collections", {"name": "x", "model": "mini"}), 422, "bad_model", "model")
    for model in ("hash", "auto"):
        assert insisting.post("/collections", {"name": model, "model": model}).json()["model"] == "hash"


def test_list_and_describe(service: Any, made: Any, refused: Any) -> None:
    told = service.get("/collections").json()["collections"]
    assert [one["name"] for one in told] == ["default", "drawings", "one"]
    assert set(told[0]) == {"name", "items", "model", "view", "dimension", "version"}
    described = service.get("/collections/default").json()
    assert all(described[key] == value for key, value in told[0].items())
    assert described["by_modality"] == {"image": 3, "text": 3}
    refused(service.get("/collections/nosuch"), 404, "collection_not_found")
    refused(service.get("/collections/No-Such"), 422, "bad_name")


def test_drop(service: Any, refused: Any) -> None:
    for _ in range(2):  # twice: nothing of the first is left
        service.post("/collections", {"name": "gone", "model": "hash"})
        service.post("/collections/gone/items", {"items": [{"id": "a", "text": "a cat"}]})
        assert len(service.search({"text": "a cat"}, "gone")["hits"]) == 1
        answer = service.http.delete(f"{service.url}/v1/collections/gone")
        assert (answer.status_code, answer.content) == (204, b"")
        refused(service.http.delete(f"{service.url}/v1/collections/gone"), 404, "collection_not_found")
        for path in ("search", "items", "items:get", "items:count", "items:scroll", "search:batch", "build"):
            bodies: dict[str, Any] = {
                "search": {"text": "a"}, "items": {"items": [{"text": "a"}]}, "items:get": {"ids": ["a"]},
                "search:batch": {"queries": [{"text": "a"}]},
            }  # fmt: skip
            told = refused(service.post(f"/collections/gone/{path}", bodies.get(path)), 404, "collection_not_found")
            assert "'gone'" in told["detail"]


def test_made_again_elsewhere_with_another_model(service: Any, made: Any, db: Path) -> None:
    """What each kind of request does first, after the collection was made again."""
    item, query = {"id": "a", "text": "a cat"}, {"text": "a cat"}
    requests: dict[str, Any] = {
        "search": query, "search:batch": {"queries": [query]}, "items": {"items": [item]}, "items:get": {"ids": ["a"]},
        "items:count": {}, "items:scroll": {}, "items:delete": {"ids": ["a"]},
    }  # fmt: skip
    store, spaces = Store(db), [load(name).space(DEFAULT).as_dict() for name in ("mini", "hash")]
    for turn, (path, body) in enumerate(requests.items()):
        service.post("/collections/one/items", {"items": [item]})
        assert service.search(query, "one")["hits"]
        store.drop("one")
        store.create("one", spaces[turn % 2])
        answer = service.post(f"/collections/one/{path}", body)
        assert answer.status_code == 200, (path, answer.text)
        assert "error" not in answer.text, answer.text
        result = service.search(query, "one")
        assert result["model"] == spaces[turn % 2]["model"]
        assert len(result["hits"]) == (path == "items")
        described = service.get("/collections/one").json()
        assert described["dimension"] == spaces[turn % 2]["dimension"]
    store.drop("one")
    store.create("one", spaces[0])
    assert service.get("/collections/one").json()["model"] == "mini"
    assert {one["name"]: one["model"] for one in service.get("/collections").json()["collections"]}["one"] == "mini"


def test_dropped_elsewhere(service: Any, made: Any, db: Path, refused: Any) -> None:
    Store(db).drop("one")
    for path, body in {
        "search": {"text": "a"},
        "items:get": {"ids": ["a"]},
        "items": {"items": [{"text": "a"}]},
    }.items():
        refused(service.post(f"/collections/one/{path}", body), 404, "collection_not_found")
    assert [one["name"] for one in service.get("/collections").json()["collections"]] == ["default", "drawings"]


def test_ann_index(service: Any, made: Any, refused: Any) -> None:
    told = refused(service.post("/collections/one/verify"), 409, "no_index")
    assert "/build" in told["remedy"]
    vectors = np.random.default_rng(0).normal(size=(400, 256))
    items = [{"id": f"v{n}", "vector": vector.tolist()} for n, vector in enumerate(vectors)]
    assert service.post("/collections/one/items", {"items": items}).json()["added"] == 400
    before = service.search({"vector": items[0]["vector"]}, "one")["hits"]
    answer = service.post("/collections/one/build")
    assert (answer.status_code, set(answer.json())) == (202, {"building"})  # false: the writes began one
    end = time.monotonic() + 30
    while service.get("/collections/one").json()["index"] is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    answer = service.post("/collections/one/verify")
    assert answer.status_code == 200, answer.text
    check = answer.json()
    assert (check["right"], check["rows"], check["missing"], check["extra"]) == (True, 400, 0, 0)
    assert check["recall"] >= check["goal"]
    after = service.search({"vector": items[0]["vector"]}, "one")["hits"]
    assert [hit["id"] for hit in after] == [hit["id"] for hit in before]
    service.post("/collections/one/items", {"items": [{"id": "late", "vector": (-vectors[0]).tolist()}]})
    assert service.search({"vector": (-vectors[0]).tolist()}, "one")["hits"][0]["id"] == "late"


def test_quarantine(service: Any, db: Path, tmp_path: Path, refused: Any) -> None:
    assert service.get("/collections/default/quarantine").json() == {"quarantined": [], "total": 0}
    for n in range(3):
        (tmp_path / f"broken{n}.png").write_bytes(b"no picture")
    index_paths([tmp_path], db=str(db), model="hash")
    told = service.get("/collections/default/quarantine?limit=2").json()
    assert (len(told["quarantined"]), told["total"]) == (2, 3)
    assert set(told["quarantined"][0]) == {"uri", "kind", "reason", "tries", "first_seen", "last_tried"}
    assert service.get("/collections/default").json()["quarantined"] == 3
    refused(service.get("/collections/default/quarantine?limit=0"), 422, "invalid_field", "limit")
    refused(service.get("/collections/nosuch/quarantine"), 404, "collection_not_found")
