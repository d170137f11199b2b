"""Nearest neighbors side by side: Oneword, LanceDB's indexes, raw FAISS, hnswlib, usearch, and comparing all.

    python benchmarks/search.py --out search.json [--part 4096x50000 ...] [--plot docs/search.png]
    python benchmarks/search.py --quick

At equal recall: each rival is tuned, by its own settings, to the least effort that finds 99 % of the ten nearest of
200 tuning questions; recall is then reported on 200 others. Oneword tunes itself when it builds. Filters let 50, 10, 1
and 0.1 % of the rows through, at random; each rival is tuned for each of them. The vectors: see vectors.py.

Each rival runs in a process of its own. All are alive at the same time and take turns, round by round; a ratio is the
median over rounds of the ratio of their medians. LanceDB's best is that of its indexes which is quickest at the goal.
One caller: FAISS, also within Oneword, and numpy take one core or both for a question, whichever was quicker; LanceDB
does as it likes; the graphs take one. Two callers: threads of one Python process, each search on one core (LanceDB: as
it likes).
Build times are the index's alone: `build_index`, `create_index`, FAISS's train, add and write. Peak memory of serving
is that of a fresh process that opens what is on disk; of building, that of filling and building.

A full run takes about 50 minutes on two cores. Each part is kept in the --out file as soon as it is there, and a part
that is there is not run again. The last line is one JSON object.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from process import GaveUp, Process  # noqa: E402
from results import GOAL, SAME, SHARES, Part, goals, headline, tables  # noqa: E402
from rival import NEAREST, Data, Window  # noqa: E402
from rivals import RIVALS  # noqa: E402
from vectors import Corpus, Shape, write  # noqa: E402

PARTS = ("4096x50000", "384x50000", "384x200000", "4096x200000")
QUESTIONS = 200  # of each set
TIE = 1e-4
"""Cosines this near to the tenth's are as good: float16 vectors are not quite of unit length, which inner products take
as they are, and LanceDB rounds questions to float16 too."""
COLD = 11  # filters never seen before


def prepare(folder: Path, dimension: int, count: int, shares: tuple[float, ...]) -> None:
    """Vectors, numbers, questions and their true neighbors, as files."""
    corpus = Corpus(Shape.of(dimension))
    write(corpus, count, folder / "vectors.npy")
    np.save(folder / "numbers.npy", np.random.default_rng(1).permutation(count))
    data = Data(folder)
    sets = {name: corpus.questions(QUESTIONS, name) for name in ("tuning", "test")}
    asked = np.concatenate(list(sets.values()))
    masks = {share: np.ones(count, bool) if share == 1 else data.allowed(_window(share, count)) for share in shares}
    best = {share: (np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)) for share in shares}
    for start, chunk in data.chunks():
        vectors = chunk.astype(np.float32)
        scores = asked @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
        for share, mask in masks.items():
            inside = np.flatnonzero(mask[start : start + len(chunk)])
            together = np.hstack([best[share][0], scores[:, inside]])
            rows = np.hstack([best[share][1], np.broadcast_to(start + inside, (len(asked), len(inside)))])
            order = np.argsort(-together, axis=1, kind="stable")[:, : 2 * NEAREST]
            best[share] = (np.take_along_axis(together, order, 1), np.take_along_axis(rows, order, 1))
    for number, (name, questions) in enumerate(sets.items()):
        np.save(folder / f"{name}.npy", questions)
        for share in shares:
            scores, rows = (one[number * QUESTIONS : (number + 1) * QUESTIONS] for one in best[share])
            rows = np.where(scores >= scores[:, NEAREST - 1 : NEAREST] - TIE, rows, -1)
            np.save(folder / f"{name}-{_given(share, count)}.npy", rows)


def _window(share: float, count: int, start: int = 0) -> Window:
    return Window(start, start + round(share * count))


def _given(share: float, count: int, start: int = 0) -> list[int] | None:
    """As a process is told."""
    if share == 1:
        return None
    window = _window(share, count, start)
    return [window.start, window.stop]


class Contest:
    """One part: so many rows of so many dimensions."""

    def __init__(
        self,
        part: str,
        folder: Path,
        *,
        rounds: int,
        limit: float,
        rivals: list[str],
        quick: bool,
        known: dict[str, Part],
    ) -> None:
        """known: parts that were run before: a build that took too long for its rows is not tried with more."""
        self.dimension, self.count = map(int, part.split("x"))
        self.part, self.rounds, self.limit, self.rivals = part, rounds, limit, rivals
        self.data, self.folder, self.known = folder / "data", folder, known
        shares = (1.0, 0.1, 0.001) if quick else SHARES
        self.shares = tuple(share for share in shares if round(share * self.count) >= NEAREST)
        self.patience = (6, 3) if quick else (30, 12)  # seconds of tuning, unfiltered and filtered
        self.found: Part = {"dimension": self.dimension, "rows": self.count, "rivals": {}, "ratios": {}}

    def run(self) -> Part:
        """Everything."""
        begun = time.perf_counter()
        self.data.mkdir(parents=True)
        prepare(self.data, self.dimension, self.count, self.shares)
        self._say(f"drawn, and compared exactly, in {time.perf_counter() - begun:.0f} s")
        together = {name: process for name in self.rivals if (process := self._ready(name))}
        for share in self.shares:
            self._turns(together, share)
        self._callers(together)
        for name, process in together.items():
            self._end(name, process)
        self.found["seconds"] = round(time.perf_counter() - begun)
        return self.found

    def _say(self, what: str) -> None:
        print(f"{self.part}: {what}", flush=True)

    def _ready(self, name: str) -> Process | None:
        """Built, opened again and tuned; None if it gave up, which is written down."""
        row = self.found["rivals"][name] = {}
        options = {}
        if name == "faiss":
            ours = json.loads(self.found["rivals"].get("oneword", {}).get("about", "{}"))
            kind = ours.get("kind", f"IVF{round(self.count**0.5)},RaBitQfs,Refine(SQfp16)")
            kind = re.sub(r"PQ\d+x", f"PQ{self.dimension // 2}x", re.sub(r"^PCAR\d+,", "", kind))
            options["kind"] = "SQfp16" if kind == "flat" else kind
        try:
            self._foretell(name)
            builder = Process(name, self.data, self.folder / name, **options)
            row["fill_s"] = builder.ask("build", what="fill")["seconds"]
            built = builder.ask("build", what="build", limit=self.limit if name != "oneword" else 3600)
            row |= {"build_s": built["seconds"], "build_peak_mib": built["peak_mib"]}
            builder.ask("build", what="save")
            builder.end()
            process = Process(name, self.data, self.folder / name, **options)
            opened = process.ask("open")
            row |= {"about": opened["about"], "open_s": opened["seconds"], "filters": opened["filters"]}
            row["by_share"] = {str(share): self._tuned(process, share) for share in self._shares(row)}
        except GaveUp as error:
            row["gave_up"] = str(error)
            self._say(f"gave up on {error}")
            shutil.rmtree(self.folder / name, ignore_errors=True)
            return None
        self._say(f"{name}: {row['about']}, built in {row['build_s']:.1f} s")
        return process

    def _foretell(self, name: str) -> None:
        """Raises GaveUp where a part with fewer rows says that it would take too long."""
        for part in self.known.values():
            if name == "oneword" or part["dimension"] != self.dimension or part["rows"] >= self.count:
                continue
            row = part["rivals"].get(name, {})
            if "gave_up" in row or row.get("build_s", 0) * self.count / part["rows"] > 1.5 * self.limit:
                why = row.get("gave_up") or f"{row['build_s']:.0f} s with {part['rows']:,} rows"
                raise GaveUp(f"{name}: not tried: {why}")

    def _shares(self, row: Part) -> tuple[float, ...]:
        return self.shares if row["filters"] else (1.0,)

    def _tuned(self, process: Process, share: float) -> Part:
        window = _given(share, self.count)
        tuned = process.ask("tune", window=window, goal=GOAL, seconds=self.patience[share < 1])
        recall = process.ask("recall", window=window, setting=tuned["setting"], seconds=self.patience[0] / 4)
        return {
            "setting": tuned["setting"],
            "tuning_recall": tuned["recall"],
            "reached": tuned["reached"],
            "recall": recall,
        }

    def _turns(self, processes: dict[str, Process], share: float) -> None:
        """A B C A B C ..., and the ratios to Oneword of each round."""
        window, count = _given(share, self.count), 40 if share == 1 else 20
        rows = {name: self.found["rivals"][name]["by_share"].get(str(share)) for name in processes}
        rows = {name: row for name, row in rows.items() if row is not None}
        times: dict[str, list[list[float]]] = {name: [] for name in rows}
        for number in range(self.rounds):
            for name, row in rows.items():
                given = {"window": window, "setting": row["setting"], "start": number * count, "count": count}
                times[name].append(processes[name].ask("round", seconds=2, **given))
        for name, row in rows.items():
            together = np.concatenate(times[name])
            row |= {"p50_ms": float(np.median(together)), "p99_ms": float(np.percentile(together, 99))}
            row["timed"] = len(together)
            self._say(
                f"{share:g} of the rows: {name} {row['p50_ms']:.2f} ms, recall {row['recall']:.4f}, {row['setting']}"
            )
        if "oneword" not in rows:
            return
        medians = {name: np.array([np.median(one) for one in each]) for name, each in times.items()}
        self.found["ratios"][str(share)] = {
            name: float(np.median(median / medians["oneword"])) for name, median in medians.items() if name != "oneword"
        }
        if window is not None:
            starts = np.linspace(1, self.count - window[1], COLD).astype(int).tolist()
            cold = processes["oneword"].ask(
                "cold",
                setting=rows["oneword"]["setting"],
                windows=[_given(share, self.count, start) for start in starts],
            )
            rows["oneword"]["cold_ms"] = float(np.median(cold))

    def _callers(self, processes: dict[str, Process]) -> None:
        """Questions a second, unfiltered, medians of three turns."""
        for threads in (1, 2):
            counted: dict[str, list[float]] = {name: [] for name in processes}
            for _ in range(3):
                for name, process in processes.items():
                    setting = self.found["rivals"][name]["by_share"]["1.0"]["setting"]
                    counted[name].append(process.ask("callers", threads=threads, setting=setting, seconds=1))
            for name, each in counted.items():
                self.found["rivals"][name].setdefault("a_second", {})[str(threads)] = float(np.median(each))

    def _end(self, name: str, process: Process) -> None:
        kept = process.ask("kept")
        self.found["rivals"][name] |= {
            "peak_mib": kept["peak_mib"],
            "index_bytes": kept["index"],
            "table_bytes": kept["table"],
        }
        process.end()
        shutil.rmtree(self.folder / name, ignore_errors=True)


def machine() -> dict[str, Any]:
    """What it ran on."""
    packages = {}
    for name in ("lancedb", "faiss-cpu", "hnswlib", "usearch", "numpy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "missing"
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(), **packages}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--part", action="append", help="DIMENSIONxROWS; again for more; default: " + ", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="JSON; parts that are in it are not run again")
    parser.add_argument("--plot", type=Path, help="write a picture there; needs matplotlib")
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--limit", type=float, default=300, help="seconds that an index may take to build")
    parser.add_argument("--folder", type=Path, help="for temporary files, 20 GB in a full run")
    parser.add_argument("--quick", action="store_true", help="10,000 vectors of 1,024 numbers, few rivals")
    given = parser.parse_args()
    parts, rivals, rounds = given.part or list(PARTS), given.rivals, given.rounds
    if given.quick:
        parts, rivals, rounds = ["1024x10000"], ["oneword", "lancedb IVF_SQ", "faiss", SAME, "numpy"], 3
    found: dict[str, Any] = {"machine": machine(), "parts": {}}
    if given.out and given.out.exists():
        found = json.loads(given.out.read_text(encoding="utf-8"))
    for part in parts:
        if part not in found["parts"]:
            with tempfile.TemporaryDirectory(dir=given.folder, prefix="oneword-search-") as folder:
                contest = Contest(
                    part,
                    Path(folder),
                    rounds=rounds,
                    limit=given.limit,
                    rivals=rivals,
                    quick=given.quick,
                    known=found["parts"],
                )
                found["parts"][part] = contest.run()
            if given.out:
                partial = given.out.with_suffix(".partial")
                partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                partial.replace(given.out)
        print(f"\n{part}, {found['parts'][part]['seconds']} s\n\n{tables(found['parts'][part])}\n")
        print(f"{goals(found['parts'][part])}\n", flush=True)
    if given.plot:
        from plot import plot

        plot(given.plot, found["parts"])
    said = {part: headline(found["parts"][part]) for part in parts}
    print(json.dumps({"part": parts[0], **said[parts[0]], "parts": said, "machine": found["machine"]}))


if __name__ == "__main__":
    main()
