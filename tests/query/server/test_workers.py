"""`oneword serve --workers`: several processes serve one address; one more has the models, and each may die."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

WORKERS = 2
FRESH = {"text": "a text that nobody has asked for before"}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def service(start: Any, db: Path, runtime: Path) -> Any:
    env = {"XDG_RUNTIME_DIR": str(runtime), "ONEWORD_DAEMON": "1", "TMPDIR": str(runtime)}
    service = start("--db", db, "--workers", WORKERS, "--drain", "0.2", env=env)
    until(lambda: sum('"ready"' in line for line in service.log) == WORKERS)
    return service


def until(done: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def processes(service: Any) -> list[psutil.Process]:
    """The process with the models, and those that serve, in the order in which they were started."""
    children = psutil.Process(service.process.pid).children()
    alive = [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
    ours = [one for one in alive if any("spawn_main" in word for word in one.cmdline())]
    return sorted(ours, key=lambda one: one.create_time())


@pytest.fixture
def ask(service: Any) -> Callable[..., httpx.Response]:
    """Asks on a connection of its own, which any process may accept."""

    def asking(document: Any, path: str = "search") -> httpx.Response:
        with httpx.Client(timeout=60) as http:
            return http.post(f"{service.url}/v1/collections/default/{path}", json=document)

    return asking


def test_each_serves_and_answers_as_one_process_does(service: Any, serve: Any, db: Path, ask: Any, drawn: Any) -> None:
    one = serve(db=db)
    _, *workers = processes(service)
    assert len(workers) == WORKERS
    for stopped in workers:
        stopped.suspend()  # what it does not accept, the other does
        try:
            for query in ({"text": "a cat"}, {"image": drawn.uri("red"), "edit": "but blue"}, {"text": " "}):
                told, wanted = ask(query), one.post("/collections/default/search", query)
                assert told.status_code == wanted.status_code
                assert told.json().get("hits") == wanted.json().get("hits")
                assert told.json().get("code") == wanted.json().get("code")
        finally:
            stopped.resume()


def test_they_serve_this_user_s_commands(service: Any, runtime: Path) -> None:
    (path,) = [one for one in runtime.rglob("*.sock") if one.name != "models.sock"]
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as http:
        assert http.get("http://localhost/readyz").status_code == 200


def test_metrics_are_of_all(service: Any, ask: Any) -> None:
    def answered() -> float:
        families = text_string_to_metric_families(service.http.get(f"{service.url}/metrics").text)
        samples = [one for family in families for one in family.samples if one.name == "oneword_requests_total"]
        return sum(one.value for one in samples if one.labels["route"].endswith("/search"))

    before = answered()
    with ThreadPoolExecutor(8) as threads:
        assert {one.status_code for one in threads.map(ask, [{"text": f"text {n}"} for n in range(40)])} == {200}
    until(lambda: answered() - before == 40)


def test_what_one_stores_every_one_finds(service: Any, ask: Any) -> None:
    def store(number: int) -> Any:
        return ask({"items": [{"id": f"stored-{number}", "text": f"the stored text of number {number}"}]}, "items")

    with ThreadPoolExecutor(8) as threads:
        assert {one.status_code for one in threads.map(store, range(16))} == {200}
        wanted = [{"text": f"the stored text of number {number}", "limit": 1} for number in range(16)] * 2
        found = [one.json()["hits"][0]["id"] for one in threads.map(ask, wanted)]
    assert found == [f"stored-{number}" for number in range(16)] * 2


def test_sighup_reloads_each(service: Any, ask: Any) -> None:
    service.process.send_signal(signal.SIGHUP)
    until(lambda: sum('"reloading"' in line for line in service.log) == WORKERS)
    assert ask(FRESH).status_code == 200


def test_what_dies_is_started_again(service: Any, ask: Any) -> None:
    before = processes(service)
    before[1].kill()
    assert ask(FRESH | {"limit": 2}).status_code == 200  # by the other
    until(lambda: len(processes(service)) == 1 + WORKERS and processes(service) != before)
    before[0].kill()
    until(lambda: len(processes(service)) == 1 + WORKERS and before[0] not in processes(service))
    until(lambda: ask({"text": f"after all of it {time.monotonic()}"}).status_code == 200)
    assert len([line for line in service.log if "starting another" in line]) == 2


def test_the_end(service: Any, runtime: Path) -> None:
    everything = psutil.Process(service.process.pid).children(recursive=True)
    assert list(runtime.rglob("*.sock"))
    assert service.stop() == 0, service.log[-10:]
    psutil.wait_procs(everything, timeout=20)
    assert not [one for one in everything if one.is_running()]
    assert not list(runtime.rglob("*.sock"))


def test_none_outlives_a_supervisor_that_is_killed(start: Any, db: Path) -> None:
    service = start("--db", db, "--workers", 2, ready=False)
    everything = psutil.Process(service.process.pid).children(recursive=True)
    service.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(everything, timeout=20)
    assert not alive
