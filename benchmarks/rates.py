"""What one core does in a second: the rates that docs/growth.md multiplies.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rates.py

Processor time, not wall-clock time, so that a busy machine counts less. The last line is JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from vectors import Corpus, Shape

COUNT, LISTS, ASKED, TIMES = 20_000, 100, 10, 8


def rates(dimension: int) -> dict[str, float]:
    """Of FAISS's IVF + RaBitQ fast-scan, and of comparing all float16 vectors."""
    import faiss

    corpus = Corpus(Shape.of(dimension))
    vectors = np.concatenate(list(corpus.chunks(COUNT))).astype(np.float32)
    questions = corpus.questions(ASKED, "test")
    codes = faiss.index_factory(dimension, f"IVF{LISTS},RaBitQfs", faiss.METRIC_INNER_PRODUCT)
    codes.train(vectors[: 64 * LISTS])
    begun = time.process_time()
    codes.add(vectors)
    added = time.process_time() - begun
    flat = faiss.index_factory(dimension, "SQfp16", faiss.METRIC_INNER_PRODUCT)
    flat.train(vectors)
    flat.add(vectors)
    everywhere = faiss.SearchParametersIVF(nprobe=LISTS)
    took = {"codes": np.inf, "flat": np.inf}
    for _ in range(TIMES):
        for name, index, params in (("codes", codes, everywhere), ("flat", flat, None)):
            begun = time.process_time()
            for question in questions:
                index.search(question[None], 160, params=params)
            took[name] = min(took[name], (time.process_time() - begun) / ASKED)
    size = len(faiss.serialize_index(codes)) / COUNT - LISTS * dimension * 4 / COUNT
    return {
        "bytes a code": round(size, 1),
        "nanoseconds a code": round(1e9 * took["codes"] / COUNT, 2),
        "codes, GB/s": round(COUNT * dimension / 8 / took["codes"] / 1e9, 2),
        "nanoseconds a float16 vector": round(1e9 * took["flat"] / COUNT, 2),
        "float16, GB/s": round(COUNT * dimension * 2 / took["flat"] / 1e9, 2),
        "picoseconds to add, a vector, list and dimension": round(1e12 * added / COUNT / LISTS / dimension, 1),
    }


def main() -> None:
    """The command."""
    found = {str(dimension): rates(dimension) for dimension in (384, 4096)}
    print("| | " + " | ".join(found) + " |\n|---|---|---|")
    for name in found["384"]:
        print(f"| {name} | " + " | ".join(str(column[name]) for column in found.values()) + " |")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
