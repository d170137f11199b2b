"""Filters with scalar indexes and without: time to find the rows, at several selectivities.

    python benchmarks/filters.py [--rows 200000]

Two collections of the same items, one of them indexed, are asked in turns. The last line is JSON.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from oneword.storage import Collection, Item, Store, scalar_index
from oneword.storage.filters import compile, parse  # noqa: A004

START = datetime(2024, 1, 1, tzinfo=UTC)
SHARES = (50, 10, 1, 0.1)  # percent
FILTERS = [
    *(f"year >= {1000 - 10 * share:.0f}" for share in SHARES),
    *(f"day >= {(START + timedelta(seconds=1e6 * (1 - share / 100))).isoformat()}" for share in SHARES),
    *(f'name >= "{int(65536 * (1 - share / 100)):04x}"' for share in SHARES),
    *(f"kind = k{share}" for share in SHARES),
    *(f"not kind = k{share}" for share in SHARES),
    *(f"tags = t{share}" for share in SHARES),
    *(f"not tags = t{share}" for share in SHARES),
    *(f"tags = t{share} and modality = image and year >= 500" for share in SHARES),
    *(f"kind = k{share} and uri contains abc" for share in SHARES),
    *("flag = true", "modality = image", "exists(tags)", "not exists(kind)", "name contains abc"),
]


def items(rows: int, seed: int) -> list[Item]:
    choose, vector = random.Random(seed), np.zeros(8, np.float32)
    vector[0] = 1
    made = []
    for number in range(rows):
        name, at = hashlib.md5(f"{seed} {number}".encode()).hexdigest(), choose.random() * 100
        metadata = {
            "year": choose.randrange(1000),
            "day": START + timedelta(seconds=choose.random() * 1e6),
            "name": name,
            "kind": next((f"k{share}" for share in sorted(SHARES) if at < share), "other"),
            "flag": choose.random() < 0.5,
            "tags": [f"t{share}" for share in SHARES if choose.random() * 100 < share] + [f"x{choose.randrange(100)}"],
        }
        kept = {key: value for key, value in metadata.items() if choose.random() > 0.1}
        modality = choose.choice(["image", "text"])
        made.append(
            Item(id=name, modality=modality, uri=f"file:///{name}", content_hash=name, vector=vector, metadata=kept)
        )
    return made


def find(collection: Collection, where: str) -> tuple[int, float]:
    start = time.perf_counter()
    rows = sum(batch.num_rows for batch in collection._table().rows(["_rowid"], where=where, batch_size=65_536))
    return rows, (time.perf_counter() - start) * 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=200_000)
    rows = arguments.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        space = {"fingerprint": "f", "dimension": 8, "model": "none", "view": "none"}
        plain, indexed = (Store(folder).create(name, space) for name in ("plain", "indexed"))
        for seed in range(4):
            for collection in (plain, indexed):
                collection.upsert(items(rows // 4, seed))
        start = time.perf_counter()
        with indexed.writing():
            made = scalar_index.ensure(indexed._table(), least_rows=0)
        seconds, figures = time.perf_counter() - start, {}
        print(f"{rows} rows; {len(made)} indexes in {seconds:.1f} s")
        for text in FILTERS:
            where = compile(parse(text), plain.schema())
            times = [(find(plain, where), find(indexed, where)) for _ in range(15)]
            assert len({found for pair in times for found, _ in pair}) == 1, f"{text}: an index changes the answer"
            without, within = (statistics.median(pair[place][1] for pair in times) for place in (0, 1))
            figures[text] = [times[0][0][0], round(without, 2), round(within, 2)]
            print(f"{text:60} {times[0][0][0]:7} rows {without:7.2f} -> {within:6.2f} ms")
        print(json.dumps({"rows": rows, "build_seconds": round(seconds, 2), "ms": figures}))


if __name__ == "__main__":
    main()
