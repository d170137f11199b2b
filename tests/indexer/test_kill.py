"""kill -9 at any instant of a job: the same command again ends with the rows of a job that was never killed.

ONEWORD_KILLS says how many instants (`make test-kill`: 100).
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

from oneword import indexer
from tests import forkserver
from tests.indexer import corpus
from tests.indexer.stored import quarantined, rows

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


def refusals(db: Path) -> set[tuple[str, str]]:
    return {(uri, reason) for uri, (_, reason, _, _) in quarantined(db).items()}


def start(db: Path, log: Path, paths: list[str]) -> subprocess.Popen[str]:
    child = forkserver.start(["-c", JOB, db, log, *paths], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_job_killed_at_random_instants_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # pytest shows it when the test fails
    draw = random.Random(seed)
    paths = corpus.write(tmp_path, texts=1200, long=20, pictures=120, broken=40)
    child = start(tmp_path / "whole", tmp_path / "log", paths)
    began = time.monotonic()
    assert child.wait() == 0
    child.stdout.close()  # type: ignore[union-attr]
    takes = time.monotonic() - began
    expected, refused = rows(tmp_path / "whole"), refusals(tmp_path / "whole")
    assert len(expected) > 1400
    assert len(refused) == 7
    kills = finished = round_ = 0
    while kills < KILLS or not finished:
        db = tmp_path / f"db{round_}"
        committed = {row.content_hash for row in rows(db).values()}
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
            assert refusals(db) == refused
            finished, round_ = finished + 1, round_ + 1
