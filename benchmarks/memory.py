"""What an ANN index costs in memory, and a search in time: vectors left on disk, or loaded.

    python benchmarks/memory.py [--rows 50000] [--dimension 4096]

Each way in a process of its own: memory of its own (RssAnon) and pages of files (RssFile, which the system takes back
when it needs them) after 300 questions, more than before the index was opened; median time of a question while the
system keeps all files in memory, and after it was made to forget them (posix_fadvise), where vectors come from disk.
The vectors: see vectors.py. The last line is one JSON object.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from rival import Data  # noqa: E402
from rivals import Oneword  # noqa: E402
from vectors import Corpus, Shape, write  # noqa: E402

COLD = 20  # questions after which nothing is in memory


def resident() -> dict[str, float]:
    """MiB of this process."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")}


def measure(folder: Path, loaded: bool) -> None:
    """One way; prints JSON."""
    from oneword.storage import StorageConfig, Store

    questions = np.load(folder / "data" / "questions.npy")

    def opened():
        return Store(folder / "db", config=StorageConfig(loaded=loaded)).open("a")

    opened().search(questions[0], exact=True)  # what LanceDB takes is not the index's
    gc.collect()
    before = resident()
    collection = opened()
    started = time.perf_counter()
    collection.search(questions[0])
    found = {"open_s": time.perf_counter() - started}
    times = []
    for question in questions:
        started = time.perf_counter()
        collection.search(question)
        times.append(time.perf_counter() - started)
    found |= {"warm_ms": 1000 * float(np.median(times))}
    found |= {f"{name}_mib": value - before[name] for name, value in resident().items()}
    del collection
    cold = []
    for question in questions[:COLD]:
        gc.collect()
        collection = opened()
        collection.index_info()
        forget(folder / "db")
        started = time.perf_counter()
        collection.search(question)
        cold.append(time.perf_counter() - started)
        del collection
    found["cold_ms"] = 1000 * float(np.median(cold))
    print(json.dumps(found))


def forget(folder: Path) -> None:
    """Have the system drop the index's files from memory."""
    for file in folder.glob("a.serving/*/*"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=4096)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(Path(given.measure[0]), given.measure[1] == "loaded")
        return
    found = {"rows": given.rows, "dimension": given.dimension}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        corpus = Corpus(Shape.of(given.dimension))
        write(corpus, given.rows, folder / "data" / "vectors.npy")
        np.save(folder / "data" / "numbers.npy", np.arange(given.rows))
        np.save(folder / "data" / "questions.npy", corpus.questions(300, "test"))
        oneword = Oneword(Data(folder / "data"), folder / "db")
        oneword.fill()
        oneword.build()
        for way in ("mapped", "loaded"):
            command = [sys.executable, __file__, "--measure", name, way]
            found[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(way, {key: round(value, 2) for key, value in found[way].items()}, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
