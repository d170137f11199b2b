"""What one process sees of another, and what is left of one that is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from oneword.storage import Collection, Item, Store

WRITE = """
import sys
import numpy as np
from oneword.storage import Item, Store
vector = np.array([1, 0, 0, 0], np.float32)
collection = Store(sys.argv[1]).open("things")
def item(batch, n):
    fields = {"modality": "text", "uri": "u", "content_hash": "h", "metadata": {"from": batch}}
    return Item(id=f"{batch}-{n}", vector=vector, **fields)
"""


def test_a_reader_opened_before_sees_every_commit_at_once(
    collection: Collection, item: Callable[..., Item], process: Callable[..., Any]
) -> None:
    code = (
        WRITE
        + """
for line in sys.stdin:
    match line.split():
        case ["add", batch]: collection.upsert([item(int(batch), n) for n in range(3)])
        case ["delete", item_id]: collection.delete([item_id])
        case ["optimize"]: collection.optimize()
    print("done", flush=True)
"""
    )
    child = process(code, collection.uri)

    def tell(line: str) -> None:
        child.stdin.write(line + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"

    reader = Store(collection.uri).open("things")
    assert reader.count() == 0
    for batch in range(3):
        tell(f"add {batch}")
        assert reader.count() == 3 * (batch + 1)
        assert reader.count(f"from = {batch}") == 3  # a key that came after the reader was opened
        assert len(reader.search([1, 0, 0, 0], limit=100)) == 3 * (batch + 1)
    tell("delete 1-1")
    assert reader.get(["1-1", "1-2"]).keys() == {"1-2"}
    tell("optimize")
    assert "1-1" not in [hit.item.id for hit in reader.search([1, 0, 0, 0], limit=100)]
    assert sum(map(len, reader.scan())) == 8


def test_a_writer_killed_at_any_instant_leaves_whole_batches(
    collection: Collection, item: Callable[..., Item], process: Callable[..., Any]
) -> None:
    code = (
        WRITE
        + """
first = int(sys.argv[2])
print("ready", flush=True)
for batch in range(first, first + 100_000):
    collection.upsert([item(batch, n) for n in range(50)])
    print(batch, flush=True)
"""
    )
    acknowledged: list[int] = []
    for round_number in range(2):
        child = process(code, collection.uri, round_number * 100_000)
        assert child.stdout.readline() == "ready\n"
        acknowledged.append(int(child.stdout.readline()))  # at least one commit
        time.sleep(random.Random(round_number).uniform(0.01, 0.3))
        child.kill()  # SIGKILL
        rest, _ = child.communicate()
        acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    fresh = Store(collection.uri).open("things")
    rows: dict[str, int] = {}
    for batch in fresh.scan():
        for one in batch:
            rows[one.id.split("-")[0]] = rows.get(one.id.split("-")[0], 0) + 1
    assert set(rows.values()) == {50}
    assert {str(batch) for batch in acknowledged} <= set(rows)
    assert len(rows) <= len(acknowledged) + 2  # at most one commit a round was not yet acknowledged
    assert fresh.upsert([item("after")]).added == 1  # and no lock is left
    fresh.optimize()
    assert fresh.count() == 50 * len(rows) + 1
