"""Jobs over HTTP: a real server, real processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from oneword.indexer.jobs import Supervisor  # noqa: E402
from oneword.query.server.app import application  # noqa: E402
from oneword.query.server.config import ServerConfig  # noqa: E402
from oneword.storage import Store  # noqa: E402
from oneword.storage.journal import new_id  # noqa: E402

if sys.platform == "win32":
    pytest.skip("signals and process groups", allow_module_level=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_text("one cat")
    (folder / "b.txt").write_text("two dogs")
    return folder


@pytest.fixture
def served() -> Any:
    """The service, as an application, and its state."""
    return application(ServerConfig(db="db"), Supervisor)


@pytest.fixture
def client(served: Any) -> Iterator[Any]:
    server = uvicorn.Server(uvicorn.Config(served[0], port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as made:
        yield made
    server.should_exit = True
    thread.join()


@pytest.fixture
def jobs(served: Any, root: Path) -> Iterator[Supervisor]:
    served[1].jobs = made = Supervisor("db", [str(root)])
    yield made
    made.close(10)


def many(root: Path) -> str:
    file = root / "many.csv"
    with file.open("w") as opened:
        opened.write("id,text\n")
        opened.writelines(f"{at},text number {at}\n" for at in range(400_000))
    return str(file)


def body(*paths: str, **more: Any) -> dict[str, Any]:
    return {"collection": "default", "model": "hash", "paths": list(paths), **more}


def wait(client: Any, job: dict[str, Any], *states: str) -> dict[str, Any]:
    for _ in range(1200):
        found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").raise_for_status().json()
        if found["state"] in states:
            return found
        assert found["state"] in ("starting", "running"), found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


def test_from_start_to_end(client: Any, jobs: Supervisor, root: Path) -> None:
    answer = client.post("/v1/jobs", json=body(str(root), options={"include": ["*.txt"], "chunks": "off"}))
    assert answer.status_code == 201
    begun = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{begun['id']}"
    assert set(begun) == {"id", "collection", "state", "started", "updated", "counts"}
    done = wait(client, begun, "done")
    assert (done["counts"]["indexed"], done["collection"]) == (2, "default")
    assert done["started"] <= done["updated"] == done["ended"]
    assert client.get("/v1/jobs").json() == {"jobs": [done]}
    assert client.get("/v1/jobs", params={"collection": "other", "limit": 1}).json() == {"jobs": []}
    cancelled = client.post(f"/v1/jobs/{done['id']}:cancel")
    assert (cancelled.status_code, cancelled.json()) == (202, done)


def test_cancel_and_crash(client: Any, jobs: Supervisor, root: Path) -> None:
    table = many(root)
    job = client.post("/v1/jobs", json=body(table)).json()
    wait(client, job, "running")
    assert client.post("/v1/jobs", json=body(table)).json()["code"] == "job_running"
    other = client.post("/v1/jobs", json=body(table, collection="b")).json()
    full = client.post("/v1/jobs", json=body(table, collection="c"))
    assert (full.status_code, full.json()["code"], full.headers["Retry-After"]) == (503, "too_many_jobs", "10")
    wait(client, other, "running")
    os.kill(Store("db").journal().get(other["id"]).pid, signal.SIGKILL)
    assert wait(client, other, "killed")["message"] == "ended by SIGKILL"
    answer = client.post(f"/v1/jobs/{job['id']}:cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    wait(client, job, "interrupted")
    assert [one["state"] for one in client.get("/v1/jobs").json()["jobs"]] == ["killed", "interrupted"]


def test_what_is_refused(client: Any, jobs: Supervisor, root: Path) -> None:
    for given, status, code, said in (
        (body("/etc/passwd"), 422, "bad_job", "/etc/passwd"),
        (body(str(root), collection="A b"), 422, "bad_name", "A b"),
        (body(str(root), model="https://host/v1"), 422, "bad_job", "https://host/v1"),
        (body(str(root), view="x.toml"), 422, "bad_job", "x.toml"),
    ):
        answer = client.post("/v1/jobs", json=given)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert said in answer.json()["detail"]
        assert str(root) not in answer.json()["detail"]
    for more, field in (
        ({"options": {"allow_private": True}}, "options.allow_private"),
        ({"options": {"device": "cuda"}}, "options.device"),
        ({"options": {"report": "/x"}}, "options.report"),
        ({"options": {"chunks": 7}}, "options.chunks"),
        ({"options": {"dry_run": "perhaps"}}, "options.dry_run"),
        ({"options": {"source": "exotic"}}, "options.source"),
        ({"job_id": "x"}, "job_id"),
        ({"paths": []}, "paths"),
        ({"paths": "root"}, "paths"),
    ):
        answer = client.post("/v1/jobs", json={**body(str(root)), **more})
        assert answer.status_code == 422
        assert answer.json()["field"] == field
    assert client.get("/v1/jobs", params={"limit": 0}).status_code == 422
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_there_is_no_such_job(client: Any, jobs: Supervisor) -> None:
    for name in (new_id(), "x", "x'); --"):
        for answer in (client.get(f"/v1/jobs/{name}"), client.post(f"/v1/jobs/{name}:cancel")):
            assert answer.status_code == 404
    assert client.get(f"/v1/jobs/{new_id()}").json()["detail"] == "there is no such job"


def test_what_cannot_be_cancelled(client: Any, jobs: Supervisor) -> None:
    job = Store("db").journal().start(collection="a", command="oneword index x")
    answer = client.post(f"/v1/jobs/{job}:cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_cancellable")


def test_without_roots_there_are_no_jobs(client: Any) -> None:
    for answer in (
        client.get("/v1/jobs"),
        client.post("/v1/jobs", json=body("x")),
        client.get("/v1/jobs/x"),
        client.post("/v1/jobs/x:cancel"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "jobs_off")
        assert "--job-root" in answer.json()["remedy"]


def test_the_api_describes_itself(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path for path in paths if path.startswith("/v1/jobs")} == {
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}:cancel",
    }
    assert all(one["description"] for path in paths.values() for one in path.values())
