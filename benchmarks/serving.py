"""The serving index against comparing all vectors: time of a query and recall@10, with and without filters.

    python benchmarks/serving.py [--rows 50000] [--dimension 384]

Clustered random unit vectors; questions from the same clusters. The last line is JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from storage import Item, Store

CHUNK = 10_000


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=384)
    given = parser.parse_args()
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((300, given.dimension))

    def clustered(count: int) -> Any:
        vectors = centres[draw.integers(0, 300, count)] + 1.2 * draw.standard_normal((count, given.dimension))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    space = {"fingerprint": "f", "dimension": given.dimension, "model": "m", "view": "v"}
    with tempfile.TemporaryDirectory() as folder:
        collection = Store(folder).create("a", space)
        for start in range(0, given.rows, CHUNK):
            collection.upsert(
                Item(
                    id=f"{start + n}",
                    modality="text",
                    uri=f"{start + n}",
                    content_hash=f"{start + n}",
                    text="a",
                    vector=vector,
                    metadata={"n": start + n},
                )
                for n, vector in enumerate(clustered(min(CHUNK, given.rows - start)))
            )
        started = time.perf_counter()
        about = collection.build_index()
        print(f"{about.kind}, {about.effort}, built in {time.perf_counter() - started:.1f} s")
        rows = {}
        questions = clustered(40)
        collection.search(questions[0])
        for share in (1.0, 0.5, 0.1, 0.01, 0.001):
            where = None if share == 1 else f"n < {int(share * given.rows)}"
            times: dict[bool, list[float]] = {True: [], False: []}
            recall = []
            for question in questions:
                found = {}
                for exact in (False, True):
                    begun = time.perf_counter()
                    hits = collection.search(question, filter=where, exact=exact)
                    times[exact].append(1000 * (time.perf_counter() - begun))
                    found[exact] = {hit.item.id for hit in hits}
                recall.append(len(found[True] & found[False]) / len(found[True]))
            rows[str(share)] = {
                "served_ms": round(float(np.median(times[False])), 1),
                "exact_ms": round(float(np.median(times[True])), 1),
                "recall": round(float(np.mean(recall)), 4),
            }
            print(f"share {share}: {rows[str(share)]}")
    print(json.dumps({"rows": given.rows, "dimension": given.dimension, "kind": about.kind, "by_share": rows}))


if __name__ == "__main__":
    main()
