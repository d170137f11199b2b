"""Minutes of load: memory that stays flat, and kill -9 again and again. `make test-load`, or

    ONEWORD_LOAD=FOLDER pytest tests/query/server/load/test_long.py

In FOLDER: what the services logged, and each figure as it is measured, in figures.jsonl.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

FOLDER = os.environ.get("ONEWORD_LOAD", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="takes minutes; run with `make test-load`")

CLIENTS = {"reader": 8, "writer": 4, "pager": 2, "scroller": 1, "checker": 1}
WARM_UP = 20_000
"""Requests after which LanceDB's caches (32 MiB of versions: some 500 commits) and the cache of query vectors have been
filled, and the allocator keeps what some 50 threads need at once. Reading alone is flat from 4,000 on."""

REQUESTS = 50_000
KILLS = 10
MIB = 2**20
GROWTH = 1.1
"""The goal. What grows are the cached vectors of new texts, some 12 MiB."""


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Writes figures down, and at the end what the services logged: `keep("what", figure=1)`, `keep.services`."""
    folder = Path(request.config.rootpath) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    services: list[Any] = []

    def kept(what: str, service: Any = None, **figures: Any) -> None:
        if service is not None:
            services.append(service)
        with (folder / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.strftime("%H:%M:%S"), "what": what, **figures}) + "\n")

    yield kept
    with (folder / f"{request.node.name}.log").open("w", encoding="utf-8") as file:
        for service in services:
            file.writelines(f"{line}\n" for line in service.log)


def memory(service: Any) -> int:
    """Resident bytes of the service at rest, of which pages of mapped files are left out: the system may take them."""
    readings = []
    for _ in range(5):
        told = psutil.Process(service.process.pid).memory_info()
        readings.append(told.rss - told.shared)
        time.sleep(0.4)
    return sorted(readings)[2]


def shown(report: Any) -> dict[str, Any]:
    return {name: report[name] for name in ("requests", "per_second", "statuses", "codes", "ends", "wrong", "ms")}


def test_memory_stays_flat(
    start: Any, make_store: Any, generate: Any, check_store: Any, keep: Callable[..., None]
) -> None:
    db = make_store()
    service = start("--db", db)
    keep("start", service, rss=memory(service))
    warm = generate([service.url], "warm", CLIENTS, requests=WARM_UP).wait(1800)
    before = memory(service)
    keep("warm", rss=before, **shown(warm))
    over = threading.Event()
    builds = 0

    def disturb() -> None:
        nonlocal builds
        while not over.wait(10):
            service.process.send_signal(signal.SIGHUP)
            builds += service.post("/collections/default/build").json()["building"]

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        load = generate([service.url], "long", CLIENTS, requests=REQUESTS)
        while load.process.poll() is None:
            time.sleep(5)
            keep("under load", rss=psutil.Process(service.process.pid).memory_info().rss)
        report = load.wait()
    finally:
        over.set()
        disturbing.join()
    after = memory(service)
    items = service.get("/collections/default").json()
    keep("end", rss=after, builds=builds, items=items["items"], version=items["version"], **shown(report))
    for one in (warm, report):
        assert not one["wrong"], one["details"]
        assert not one["ends"]
        assert set(one["statuses"]) <= {"200", "204", "503"}
        assert set(one["codes"]) <= {"collection_busy"}  # a reload opens the collection while its old self still writes
    assert builds
    assert service.stop() == 0
    check_store(db, [warm, report])
    assert after <= GROWTH * before, f"{before / MIB:.0f} MiB after {WARM_UP} requests, then {after / MIB:.0f}"


def test_killed_again_and_again(
    start: Any, make_store: Any, generate: Any, check_store: Any, keep: Callable[..., None]
) -> None:
    db, reports = make_store(), []
    seed = random.randrange(2**32)
    print("seed", seed)  # pytest shows it when the test fails
    draw = random.Random(seed)
    for round_ in range(KILLS):
        began = time.monotonic()
        service = start("--db", db)
        ready = time.monotonic() - began
        load = generate([service.url], f"kill{round_}", {"writer": 8, "reader": 2, "checker": 2})
        time.sleep(1 + draw.random())
        service.post("/collections/default/build")
        time.sleep(2 * draw.random())
        killed = time.monotonic()
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        report = load.wait()
        reports.append(report)
        keep("killed", service, ready=round(ready, 2), uncertain=len(report["uncertain"]), **shown(report))
        assert set(report["wrong"]) <= {"dropped without an answer"}, report["details"]
        assert report["first_lost"] is None or report["first_lost"] > killed
        assert set(report["statuses"]) <= {"200", "204"}
        check_store(db, reports)
