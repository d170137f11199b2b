"""Where a job's time goes."""

import threading
import time
from pathlib import Path

from oneword.indexer import index_paths
from oneword.indexer.stages import Stages


def test_stages_of_a_job_add_up_to_its_time(album: Path) -> None:
    began = time.perf_counter()
    report = index_paths([album], db="db", model="hash")
    took = time.perf_counter() - began
    assert report.seconds == sum(report.stages.values())
    assert took / 2 < report.seconds <= took + 0.01  # rounded to milliseconds
    assert report.stages["start"] > 0
    assert report.stages["compact"] > 0
    assert report.stages["build"] > 0
    assert report.beside["decode"] > 0
    assert report.as_dict()["stages"] == report.stages


def test_work_beside_is_counted_once_where_it_is_nested_and_for_each_thread() -> None:
    stages, inside = Stages(), threading.Event()

    def other() -> None:
        with stages.beside("commit"):
            inside.wait()

    thread = threading.Thread(target=other)
    thread.start()
    began = time.perf_counter()
    with stages.beside("load"):
        stages.timed("read", inside.wait)(0.05)
    took = time.perf_counter() - began
    inside.set()
    thread.join()
    _, beside = stages.as_dicts()
    assert beside["read"] >= 0.05
    assert beside["load"] + beside["read"] <= took + 0.001  # rounded
    assert beside["commit"] >= beside["read"]
