"""Readiness, liveness and metrics of a real service."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from oneword import query
from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.indexer import index_paths
from oneword.storage import Store

HANGING = """
import pathlib, time
from oneword.engine import hashing
features = hashing._features
def hanging(one):
    if "hang" in getattr(one, "text", ""):
        while not pathlib.Path(PATH).exists():
            time.sleep(0.01)
    return features(one)
hashing._features = hanging
"""


def hanging(folder: Path) -> dict[str, str]:
    """The environment of a service whose encoder hangs at texts with "hang", until there is a file `go on`."""
    (folder / "sitecustomize.py").write_text(HANGING.replace("PATH", repr(str(folder / "go on"))), encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(query.__file__).parents[2])])}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "a.txt").write_text("the cat sleeps", encoding="utf-8")
    db = tmp_path_factory.mktemp("store") / "db"
    index_paths([folder], db=str(db), model="hash")
    return db


def unloadable(db: Path, name: str) -> None:
    space = {**HashEncoder().space(DEFAULT).as_dict(), "model": "http://127.0.0.1:99999"}
    Store(str(db)).create(name, space)


def until(condition: Callable[[], Any], service: Any) -> Any:
    end = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < end, "\n".join(service.log[-20:])
        time.sleep(0.02)
    return found


def ready(service: Any) -> Any:
    return service.http.get(f"{service.url}/readyz")


def families(service: Any) -> dict[str, Any]:
    text = service.http.get(f"{service.url}/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(text.text)}


def samples(found: dict[str, Any], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels.values()): one.value for one in found[name].samples if one.name in (name, f"{name}_total")}


def test_not_ready_before_the_model_has_answered(start: Any, tmp_path: Path) -> None:
    unloadable(tmp_path, "broken")
    service = start("--db", tmp_path, ready=False)
    told = until(lambda: (now := ready(service)).json()["detail"] != "starting" and now, service)
    assert (told.status_code, told.json()["code"]) == (503, "not_ready")
    assert told.json()["detail"] == "collection 'broken' cannot be searched by its model"
    assert told.headers["retry-after"] == "1"
    assert service.http.get(f"{service.url}/livez").json() == {"status": "ok"}
    refused = service.post("/collections/broken/search", {"text": "a cat"})
    assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
    assert "127.0.0.1" not in refused.text
    vector = service.post("/collections/broken/search", {"vector": [1.0] + [0.0] * 255})  # needs no model
    assert vector.status_code == 200
    assert service.stop() == 0


def test_a_collection_without_its_model_does_not_keep_others_from_being_served(start: Any, tmp_path: Path) -> None:
    unloadable(tmp_path, "broken")
    Store(str(tmp_path)).create("good", HashEncoder().space(DEFAULT).as_dict())
    service = start("--db", tmp_path)
    assert ready(service).json() == {"status": "ready"}
    assert service.search({"text": "a cat"}, "good")["hits"] == []
    assert service.post("/collections/broken/search", {"text": "a cat"}).status_code == 503


def test_metrics(start: Any, db: Path) -> None:
    pytest.importorskip("faiss")
    Store(str(db)).open("default").build_index()
    service = start("--db", db, "--max-batch", "8")
    for text in ("a", "b", "a"):
        service.search({"text": text})
    service.post("/collections/default/search", {})
    assert service.get("/collections/none").status_code == 404
    found = families(service)
    route = "/v1/collections/{collection}/search"
    assert samples(found, "oneword_requests")["POST", route, "200"] == 3
    assert samples(found, "oneword_requests")["GET", "/v1/collections/{collection}", "404"] == 1
    assert samples(found, "oneword_problems")["collection_not_found",] == 1
    cache = samples(found, "oneword_vector_cache")
    assert cache == {("hit",): 1, ("miss",): 3}  # one of them to become ready
    assert samples(found, "oneword_vector_cache_bytes")[()] == 3 * 1024
    stages = {one.labels["stage"]: one.value for one in found["oneword_stage_seconds"].samples if "_count" in one.name}
    assert stages["encode"] == stages["search"] == 3
    assert stages["batch"] == 3
    sizes = {one.name: one.value for one in found["oneword_batch_size"].samples if not one.labels}
    assert (sizes["oneword_batch_size_count"], sizes["oneword_batch_size_sum"]) == (3, 3)
    assert samples(found, "oneword_ready")[()] == 1
    assert samples(found, "oneword_requests_in_progress")[()] == 0
    assert samples(found, "oneword_encode_queue") == {("hash",): 0}
    assert samples(found, "oneword_write_queue") == {("default",): 0}
    assert samples(found, "oneword_index_versions_behind") == {("default",): 0}
    assert 0 < samples(found, "oneword_index_age_seconds")["default",] < 600
    assert service.post("/collections/default/items", {"items": [{"text": "new"}]}).status_code == 200
    assert samples(families(service), "oneword_index_versions_behind") == {("default",): 1}


def test_unready_while_encoding_hangs_and_ready_after(start: Any, db: Path, tmp_path: Path) -> None:
    service = start("--db", db, "--wedged", "0.3", env=hanging(tmp_path))
    told: list[Any] = []
    asking = threading.Thread(target=lambda: told.append(service.search({"text": "hang"})))
    asking.start()
    problem = until(lambda: (now := ready(service)).status_code == 503 and now, service).json()
    assert problem["detail"] == "model 'hash' hangs"
    assert samples(families(service), "oneword_ready")[()] == 0
    refused = service.post("/collections/default/search", {"text": "behind it"})
    assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
    assert service.search({"vector": [1.0] + [0.0] * 255})["hits"]
    (tmp_path / "go on").touch()
    asking.join(20)
    assert told[0]["hits"]
    until(lambda: ready(service).status_code == 200, service)
    assert service.search({"text": "behind it"})["hits"]


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a service makes its socket for the command line; a socket's path has to be short."""
    return tmp_path_factory.mktemp("run")


def test_a_service_that_hangs_ends_all_the_same(start: Any, db: Path, tmp_path: Path, runtime: Path) -> None:
    env = {**hanging(tmp_path), "XDG_RUNTIME_DIR": str(runtime), "ONEWORD_DAEMON": "1"}
    service = start("--db", db, "--deadline", "0.2", env=env)
    assert list(runtime.rglob("*.sock"))
    with suppress(httpx.HTTPError):
        service.post("/collections/default/search", {"text": "hang"}, timeout=0.3)
    assert service.stop() == 1
    assert "prepare" in service.log[-1]
    assert not list(runtime.rglob("*.sock"))


def test_a_service_whose_decoders_still_start_ends_well(start: Any, db: Path, runtime: Path) -> None:
    """It listens before its processes are up, each of which imports libraries for a second."""
    env = {"XDG_RUNTIME_DIR": str(runtime), "ONEWORD_DAEMON": "1"}
    service = start("--db", db, ready=False, env=env)
    assert list(runtime.rglob("*.sock"))
    assert service.stop() == 0, service.log
    assert not list(runtime.rglob("*.sock"))
