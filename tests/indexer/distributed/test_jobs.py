"""Jobs on a cluster of two nodes end as a job on one machine does, whatever is lost on the way. `make test-ray`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from oneword.indexer import index_paths
from oneword.indexer.report import Report
from oneword.storage import Store
from tests.indexer.corpus import picture
from tests.indexer.distributed.conftest import add_node, start, wait_until
from tests.indexer.stored import quarantined, rows

pytestmark = pytest.mark.ray

SLOW = Path(__file__).parent / "slow_job.py"

TWICE = """
import json, sys
from pathlib import Path
from oneword.indexer import RayConfig, RayRunner, index_paths
address, db, *paths = sys.argv[1:]
for _ in range(2):
    report = index_paths(paths, db=db, model="hash", runner=RayRunner(RayConfig(address=address)))
    print(json.dumps(report.as_dict()), flush=True)
    assert sys.stdin.readline()
"""

COUNTS = ("inputs", "added", "updated", "unchanged", "quarantined", "rows", "kinds")


def counts(report: Report | str) -> dict[str, Any]:
    found = json.loads(report) if isinstance(report, str) else report.as_dict()
    return {name: found[name] for name in COUNTS}


def told(out: str) -> str:
    """The report; Ray prints on stdout, too."""
    return next(line for line in out.splitlines() if line.startswith("{"))


def local(paths: list[str], db: Path) -> Report:
    return index_paths(paths, db=str(db), model="hash")


def logged(log: Path) -> list[tuple[int, str]]:
    """Of each content that a worker was to embed, the worker and the hash."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(pid), one) for pid, _, one in (line.partition(" ") for line in lines)]


def change(paths: list[str]) -> None:
    """Changed, touched, mended, spoilt, new and removed inputs; new metadata."""
    texts, long, pictures = map(Path, paths)
    lines = texts.read_text().splitlines()
    lines[2] = "t1,changed,1"
    texts.write_text("\n".join([*lines[:-1], "t9999,new one,7"]) + "\n")
    documents = [json.loads(line) for line in long.read_text().splitlines()]
    documents[0]["text"] = "short now"
    documents[1]["text"] = documents[2]["text"]
    documents[3]["colour"] = "blue"
    long.write_text("".join(json.dumps(one) + "\n" for one in documents))
    picture(pictures / "3.png", 3)
    picture(pictures / "4.png", 1004)
    os.utime(pictures / "5.png")
    (pictures / "6.png").write_bytes(b"")
    picture(pictures / "new.png", 5000)


def test_rows_counts_and_quarantine_are_those_of_one_machine(cluster: Any, paths: list[str], tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", TWICE, cluster.address, str(tmp_path / "many"), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for changed in (False, True):
        if changed:
            change(paths)
            child.stdin.write("go on\n")
            child.stdin.flush()
        alone = local(paths, tmp_path / "one")
        assert counts(child.stdout.readline()) == counts(alone)
        assert rows(tmp_path / "many") == rows(tmp_path / "one")
        assert quarantined(tmp_path / "many") == quarantined(tmp_path / "one")
    assert alone.updated == 5
    assert alone.quarantined == 8
    child.communicate("end\n")
    assert child.returncode == 0


def workers(cluster: Any) -> list[int]:
    """Processes of the job on all nodes."""
    found: list[int] = []
    for node in cluster.list_all_nodes():
        for one in node.all_processes["raylet"]:
            for child in psutil.Process(one.process.pid).children(recursive=True):
                try:
                    title = " ".join(child.cmdline())
                except psutil.Error:
                    continue
                if "ray::Worker" in title:
                    found.append(child.pid)
    return found


def test_processes_and_a_node_are_lost(cluster: Any, paths: list[str], tmp_path: Path) -> None:
    local(paths, tmp_path / "one")
    gone = add_node(cluster)
    log = tmp_path / "log"
    child = start(SLOW, cluster.address, tmp_path / "many", log, 0.7, *paths)
    assert child.stdout is not None
    try:
        wait_until(lambda: len(logged(log)) > 50)
        os.kill(logged(log)[-1][0], signal.SIGKILL)
        os.kill(next(pid for pid in workers(cluster) if pid != logged(log)[-1][0]), signal.SIGKILL)
        killed = len(logged(log))
        wait_until(lambda: len(logged(log)) > killed + 100 or child.poll() is not None)
        assert child.poll() is None, "the job has not ended before the node is lost"
    finally:
        cluster.remove_node(gone, allow_graceful=False)
    out, _ = child.communicate()
    assert child.returncode == 0
    assert counts(told(out))["inputs"] == 732
    assert rows(tmp_path / "many") == rows(tmp_path / "one")
    assert quarantined(tmp_path / "many") == quarantined(tmp_path / "one")


def orphans(db: Path) -> set[str]:
    """Files of rows that no version of a table has ever named."""
    before = {file.name for file in (db / "default.lance" / "data").iterdir()}
    Store(str(db)).open("default").sweep()
    return before - {file.name for file in (db / "default.lance" / "data").iterdir()}


def test_the_driver_is_killed_and_begins_again(cluster: Any, paths: list[str], tmp_path: Path) -> None:
    local(paths, tmp_path / "one")
    log = tmp_path / "log"
    child = start(SLOW, cluster.address, tmp_path / "many", log, 0.5, *paths)
    wait_until(lambda: len(rows(tmp_path / "many")) > 100 or child.poll() is not None)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL, "the job has not ended before it is killed"
    wait_until(lambda: not workers(cluster))  # Ray ends what belonged to it
    committed = {row.content_hash for row in rows(tmp_path / "many").values()}
    log.unlink()
    child = start(SLOW, cluster.address, tmp_path / "many", log, 0, *paths)
    assert child.communicate()[0].startswith("ready\n")
    assert child.returncode == 0
    assert committed
    assert not committed & {one for _, one in logged(log)}, "what was committed is not embedded again"
    assert rows(tmp_path / "many") == rows(tmp_path / "one")
    assert quarantined(tmp_path / "many") == {
        uri: (kind, reason, many, source)
        for uri, (kind, reason, _, source) in quarantined(tmp_path / "one").items()
        for many in [quarantined(tmp_path / "many")[uri][2]]
    }
    assert not orphans(tmp_path / "many")


def command(*arguments: Any) -> subprocess.Popen[str]:
    return start("-m", "oneword", "index", *arguments, errors=subprocess.PIPE)


def test_the_command_line(cluster: Any, paths: list[str], tmp_path: Path) -> None:
    options = ("--engine", "ray", "--address", cluster.address, "--workers", "1", "--json", "--model", "hash")
    child = command(*paths, "--db", tmp_path / "many", *options)
    out, errors = child.communicate()
    assert child.returncode == 0, errors
    alone = local(paths, tmp_path / "one")
    assert counts(out) == counts(alone), "one JSON document, and nothing else"
    assert rows(tmp_path / "many") == rows(tmp_path / "one")
    assert "Traceback" not in errors


def test_ctrl_c_commits_what_came_back(cluster: Any, paths: list[str], tmp_path: Path) -> None:
    script = tmp_path / "stopped.py"
    script.write_text(
        SLOW.read_text()
        .replace("report = index_paths(paths, ", "report = stopped(paths, ")
        .replace('print("ready"', STOPPED + 'print("ready"')
    )
    log = tmp_path / "log"
    child = start(script, cluster.address, tmp_path / "many", log, 0.5, *paths)
    wait_until(lambda: len(rows(tmp_path / "many")) > 50 or child.poll() is not None)
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate()
    assert child.returncode == 0
    report = json.loads(told(out))
    assert report["interrupted"]
    assert 0 < report["inputs"] < 732
    assert report["rows"] == len(rows(tmp_path / "many"))


STOPPED = """
def stopped(*arguments, **options):
    from oneword.indexer.terminal import stop_on_signals
    with stop_on_signals() as stop:
        return index_paths(*arguments, stop=stop, **options)

"""


def test_what_cannot_be_is_told(paths: list[str], cluster: Any, tmp_path: Path) -> None:
    for arguments, code, words in (
        (("--workers", "2"), 2, "give --engine ray"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), 1, "no Ray cluster at address '127.0.0.1:1'"),
        (("--engine", "ray", "--address", "ray://head:10001"), 1, "ray job submit"),
        (("--engine", "ray", "--address", cluster.address, "--workers", "99"), 1, "99 workers and a loader need 100"),
        (("--engine", "ray", "--address", cluster.address, "--gpus-per-worker", "1"), 1, "the cluster has 0"),
    ):
        child = command(*paths, "--db", tmp_path / "db", "--model", "hash", *arguments)
        _, errors = child.communicate()
        assert child.returncode == code, errors
        assert words in errors.replace("\n", " ")
        assert "Traceback" not in errors
