"""kill -9 at any instant of writing, building and swapping: nothing lost, nothing resurrected, the next start is whole.

ONEWORD_KILLS says how many instants (`make test-kill`: 50).
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from oneword import storage
from oneword.storage import Store
from tests import forkserver

ROOT = Path(storage.__file__).parents[1]
KILLS = int(os.environ.get("ONEWORD_KILLS", "8"))
ROWS = 60

# Round by round: all rows get the round's vector and number, one is deleted, the index is built. Each step is told
# when it is done, so that the parent knows what was acknowledged.
WRITER = """
import sys
import numpy as np
from oneword.storage import Item, Store

store, first, rows = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
target = store.open_or_create("a", {"fingerprint": "f", "dimension": 8, "model": "m", "view": "v"})
print("ready", flush=True)
for n in range(first, first + 1000):
    vectors = np.random.default_rng(n).normal(size=(rows, 8))
    target.upsert(
        Item(
            id=f"{row:03d}", modality="text", uri="u", content_hash=f"{n}", metadata={"n": n},
            vector=vector / np.linalg.norm(vector),
        )
        for row, vector in enumerate(vectors)
    )
    print("upserted", n, flush=True)
    target.delete([f"{n % rows:03d}"])
    print("deleted", n, flush=True)
    target.build_index()
    print("built", n, flush=True)
    if n % 5 == 0:
        target.optimize()
"""


def state(folder: Path) -> tuple[int, int]:
    """The round of the rows, and how many there are; all searches agree on both."""
    target = Store(folder).open("a")
    question = np.random.default_rng(1).normal(size=8)
    served, exact = target.search(question, limit=200), target.search(question, limit=200, exact=True)
    assert [(hit.item.id, hit.score) for hit in served] == [(hit.item.id, hit.score) for hit in exact]
    rounds = {hit.item.metadata["n"] for hit in served}
    assert len(rounds) <= 1, "an upsert is whole or not at all"
    checked = target.verify(queries=10)
    assert checked is None or checked.right, checked
    return int(str(rounds.pop())) if rounds else -1, len(served)


def test_killed_at_random_instants(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # pytest shows it when the test fails
    draw = random.Random(seed)
    first, before = 0, (-1, 0)
    for _ in range(KILLS):
        child = forkserver.start(["-c", WRITER, tmp_path, first, ROWS], cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 0.5))
        child.kill()
        said = child.stdout.read().split("\n")
        child.wait()
        child.stdout.close()
        upserted = max([int(line.split()[1]) for line in said if line.startswith("upserted ")], default=first - 1)
        deleted = max([int(line.split()[1]) for line in said if line.startswith("deleted ")], default=first - 1)
        if not (tmp_path / "a.lance").is_dir():
            continue
        now = state(tmp_path)
        acknowledged = before if upserted < first else (upserted, ROWS - (deleted == upserted))
        possible = {acknowledged, (upserted + 1, ROWS)}
        if upserted >= first and deleted < upserted:
            possible = {acknowledged, (upserted, ROWS - 1)}
        elif upserted < first:
            possible = {before, (first, ROWS)}
        assert now in possible, (said, before)
        first, before = max(first, now[0] + 1), now
    assert first > 0, "something was written"
    target = Store(tmp_path).open("a")
    target.build_index()
    left = [one.name for one in (tmp_path / "a.serving").iterdir()]
    assert len(left) == 1, "what killed builds left is cleared away"


@pytest.mark.parametrize("aside", [True, False])
def test_a_build_is_not_in_the_way_of_a_writer(tmp_path: Path, aside: bool) -> None:
    target = Store(tmp_path).create("a", {"fingerprint": "f", "dimension": 8, "model": "m", "view": "v"})
    target.upsert([storage.Item(id="x", modality="text", uri="u", content_hash="h", vector=np.eye(8)[0])])
    with target.writing():
        assert Store(tmp_path).open("a").keep_index(aside=aside)
    for _ in range(100):
        if target.index_info():
            break
        time.sleep(0.05)
    assert target.index_info()
