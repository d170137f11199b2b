"""kill -9 at any instant of a job: the same command again ends with the rows of a job that was never killed.

ONEWORD_KILLS says how many instants (`make test-kill`: 100).
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import indexer
from oneword.storage import Store

ROOT = Path(indexer.__file__).parents[2]
KILLS = int(os.environ.get("ONEWORD_KILLS", "8"))

# Commits of 200 rows, so that a job of some seconds has many; what is embedded is told before it is.
JOB = """
import sys
from oneword.indexer import embed, index_paths, write
from oneword.indexer.pipeline import Local

write.SECONDS = 0.1
db, log, *paths = sys.argv[1:]
begun = embed.Started

def telling(contents, *rest):
    with open(log, "a") as file:
        file.writelines(one + "\\n" for one in contents)
    return begun(contents, *rest)

embed.Started = telling
print("ready", flush=True)
index_paths(paths, db=db, model="hash", runner=Local(group=64, commit_rows=200))
print("done", flush=True)
"""


def corpus(folder: Path) -> list[str]:
    """3,400 inputs: short texts with repetitions, long ones, pictures, and some that cannot be indexed."""
    draw = random.Random(1)
    words = "red blue car cat house tree river sky night small large old new".split()
    with (folder / "texts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "year"])
        for number in range(3000):
            text = " ".join(draw.choices(words, k=3 if number % 5 else 2))
            rows.writerow([f"t{number}", "" if number % 300 == 7 else text, number % 50])
    with (folder / "long.jsonl").open("w") as file:
        for number in range(40):
            text = ". ".join(" ".join(draw.choices(words, k=20)) for _ in range(20 + number))
            file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(360):
        pixels = np.random.default_rng(number // 2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(pictures / f"{number}.png")
        if number % 40 == 3:
            (pictures / f"{number}.png").write_bytes(b"\x89PNG broken")
    return [str(folder / "texts.csv"), str(folder / "long.jsonl"), str(pictures)]


def rows(db: Path) -> dict[str, Any]:
    """Everything but times."""
    if not (db / "default.lance").is_dir():
        return {}
    return {
        item.id: (item.uri, item.text, item.content_hash, dict(item.metadata), item.thumbnail, item.vector.tobytes())
        for items in Store(db).open("default").scan(vectors=True)
        for item in items
        if item.vector is not None
    }


def quarantined(db: Path) -> set[tuple[str, str]]:
    return {(one.uri, one.reason) for one in Store(db).quarantine("default").list()}


def start(db: Path, log: Path, paths: list[str]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", JOB, str(db), str(log), *paths], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_job_killed_at_random_instants_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # pytest shows it when the test fails
    draw = random.Random(seed)
    paths = corpus(tmp_path)
    began = time.monotonic()
    child = start(tmp_path / "whole", tmp_path / "log", paths)
    assert child.wait() == 0
    child.stdout.close()  # type: ignore[union-attr]
    takes = time.monotonic() - began
    expected, refused = rows(tmp_path / "whole"), quarantined(tmp_path / "whole")
    assert len(expected) > 3500
    assert len(refused) == 19
    kills = finished = round_ = 0
    while kills < KILLS or not finished:
        db = tmp_path / f"db{round_}"
        committed = {row[2] for row in rows(db).values()}
        log = tmp_path / f"log{kills}"
        child = start(db, log, paths)
        if kills < KILLS:
            time.sleep(draw.uniform(0, takes * 0.7))
            child.kill()
            kills += 1
        assert child.stdout is not None
        ended = child.stdout.read() == "done\n"
        child.stdout.close()
        child.wait()
        embedded = log.read_text().split() if log.exists() else []
        assert not committed & set(embedded), "what was committed is not embedded again"
        assert len(embedded) == len(set(embedded)), "equal content is embedded once"
        now = rows(db)
        assert all(expected[item_id] == row for item_id, row in now.items())
        if ended or (now == expected and kills == KILLS):
            assert now == expected
            assert quarantined(db) == refused
            finished, round_ = finished + 1, round_ + 1


@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_job_well(tmp_path: Path, number: int) -> None:
    paths = corpus(tmp_path)
    slow = """
import functools, sys, time
from oneword.indexer import embed, pipeline
pipeline.Local = functools.partial(pipeline.Local, group=64)
begun = embed.Started
def slowly(contents, *rest):
    print("group", flush=True)
    time.sleep(0.05)
    return begun(contents, *rest)
embed.Started = slowly
from oneword import cli
sys.exit(cli.run(["index", *sys.argv[1:], "--db", "db", "--model", "hash", "--json"]))
"""
    child = subprocess.Popen(
        [sys.executable, "-c", slow, *paths],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for _ in range(5):
        assert child.stdout.readline() == "group\n"
    child.send_signal(number)
    out, errors = child.communicate()
    assert child.returncode == 128 + number, errors
    report = json.loads(out.splitlines()[-1])
    assert report["interrupted"]
    assert 0 < report["inputs"] < 3400
    assert report["rows"] == len(rows(tmp_path / "db")), "everything that was embedded is committed"
    assert "ending after the batch" in errors
