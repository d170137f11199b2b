"""How fast the indexer is, against its encoder alone and against scripts; and whether memory and rate stay as it grows.

    python benchmarks/index.py [--quick] [--out FILE] [--clip-retrieval FOLDER] [--parts speed,sleeping,busy,...]
                               [--package FOLDER]

**Speed.** Inputs a second of `index_paths`, and of what contenders.py has: `bare` is `oneword.engine.encode` on
the same inputs, decoded beforehand, so the most that there could be (goal: 0.9 of it); `script` is decode, encode,
`table.add` one by one; `batches` is that in LanceDB's documented batch form; `clip_retrieval` is that package's reader,
runner and writer around our encoder, for pictures, if FOLDER has it:

    pip install --no-deps --target FOLDER clip-retrieval    # what it pins (numpy < 2, pyarrow < 16) is not here

All but `oneword` write vectors and names only: no thumbnails, texts, hashes or index of words, no quarantine, and
killed they begin anew. The encoder is `basic`, loaded before any clock starts, and each contender does eight inputs
first, uncounted: imports and processes are not part of a rate. It uses all cores, so that whatever else
is done is taken from it. The ANN index's build is timed apart. Workloads: photographs of scikit-image, cropped,
with noise, as JPEG of 640x480; distinct sentences, in one table; both. `cpu_fraction` is the bare encoder's CPU time
over that of `oneword`, all processes together.

Other work on the machine (`load_before`) spoils all of this, and not evenly: PyTorch's threads wait for each other, so
that one busy process on two cores has been seen to make `basic` four times as slow.

**Sleeping.** The same with an encoder that sleeps a fixed time for each input and leaves the CPU alone, as a model on a
GPU would. It is not a model: its figures are never the headline.

**Busy.** How much of the time from its first batch to its last an encoder works that sleeps eight times as long as E5-V
on an H100 would compute: what two cores keep busy here, sixteen would keep busy there (goal: 0.95, at 12 megapixels).
Pictures are tiled as for E5-V. `cpu` is CPU seconds an input.

**Memory** at n and at 10 n inputs (goal: equal within 20 %), and **growth**: the rate in the last tenth of a job over
that in the first (goal: 0.9), with the encoder `hash`, on texts and on small pictures.

**Writing**: milliseconds of a commit of 1 and of 1,000 items of 384 numbers with 10 metadata keys, and of a filtered
search over 20,000 of them: as it is, without waiting for the disk (`StorageConfig(durable=False)`), and with 512 keys.

Each contender runs in a process of its own, in turn; figures are medians, and the headline is the workload that comes
off worst. `--quick`: 120 pictures, 300 texts, one repeat, memory and growth at 10,000 and 100,000 texts before the
ANN index's build, no sleeping: two to three minutes. The whole: 600 pictures, 6,000 texts, 3 repeats, growth to
1,000,000. `--out` keeps every run as it ends. `--package` is
another checkout, whose `oneword` then runs in turn with this one as `before`. The last line is one JSON object.
"""

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [os.environ.get("ONEWORD_PACKAGE") or str(ROOT.parent), str(ROOT)]

from contenders import CONTENDERS, ROWS_OF_TEXTS, encoder_of, grow, use_clip_retrieval  # noqa: E402

from oneword.storage import Item, StorageConfig, Store  # noqa: E402

SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg")
WORDS = (
    "a the two old young small large red blue green white quiet busy man woman child dog cat horse bird car boat house "
    "tree river mountain street table window door lamp book walks runs sits stands waits looks sleeps under over near "
    "behind with without before after and while morning evening winter summer light shadow"
).split()
SIZES = {  # pictures, texts, repeats, rows of small and large jobs, of the longest, small pictures
    True: {"pictures": 120, "texts": 300, "repeats": 1, "rows": 10_000, "growth": 100_000, "small": 0},
    False: {"pictures": 600, "texts": 6_000, "repeats": 3, "rows": 10_000, "growth": 1_000_000, "small": 2_000},
}


def pictures(folder: Path, count: int, size: tuple[int, int] = (640, 480)) -> None:
    """Distinct crops of real photographs, with a photograph's noise."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(3)
    whole = [PIL.Image.open(str(files("skimage.data") / name)).convert("RGB") for name in SOURCES]
    for number in range(count):
        source = whole[number % len(whole)]
        unit = min(source.width / 4, source.height / 3) * draw.uniform(0.5, 1)
        left, top = draw.uniform(0, source.width - 4 * unit), draw.uniform(0, source.height - 3 * unit)
        crop = np.asarray(source.resize(size, box=(left, top, left + 4 * unit, top + 3 * unit)), np.float32)
        noisy = crop + draw.normal(0, 4, (*crop.shape[:2], 1))
        file = io.BytesIO()
        PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        (folder / f"{number:06}.jpg").write_bytes(file.getvalue())


def sentences(folder: Path, count: int) -> Path:
    """Distinct sentences of 6 to 30 words, as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(4)
    path = folder / ROWS_OF_TEXTS
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = " ".join(draw.choices(WORDS, k=draw.randint(6, 30)))
            file.write(json.dumps({"id": f"t{number}", "text": f"{text} {number}"}) + "\n")
    return path


class Benchmark:
    """The parent's side: gives each run a process, and keeps what it found."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.sizes = SIZES[given.quick] | {
            name: size for name in ("pictures", "texts", "repeats") if (size := getattr(given, name)) is not None
        }
        self.runs: list[dict[str, Any]] = []
        self.found: dict[str, Any] = {
            "benchmark": "index",
            "quick": given.quick,
            "sizes": self.sizes,
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),
        }

    def run(self, *, before: bool = False, **what: Any) -> dict[str, Any]:
        """One run in a process of its own. before: of the package of --package."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="run-") as scratch:
            told = json.dumps({**what, "scratch": scratch, "clip_retrieval": self.given.clip_retrieval})
            done = subprocess.run(
                [sys.executable, __file__, "--child", told],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=os.environ | ({"ONEWORD_PACKAGE": str(self.given.package.resolve())} if before else {}),
            )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.runs.append({**{key: str(value) for key, value in what.items()}, "before": before, **found})
        self.keep()
        return found

    def keep(self) -> None:
        """What was found so far, in the file of --out."""
        if self.given.out:
            Path(self.given.out).write_text(json.dumps({**self.found, "runs": self.runs}, indent=1), encoding="utf-8")

    def speed(self, encoder: str, names: list[str], workloads: dict[str, int]) -> dict[str, Any]:
        """Medians of inputs a second, by workload and contender."""
        table: dict[str, Any] = {}
        for workload, count in workloads.items():
            able = [one for one in names if one != "clip_retrieval" or (workload == "pictures" and encoder == "basic")]
            times: dict[str, list[dict[str, float]]] = {one: [] for one in able}
            for _ in range(self.sizes["repeats"]):
                for one in able:
                    before, contender = one == "before", "oneword" if one == "before" else one
                    found = self.run(
                        before=before, contender=contender, encoder=encoder, data=str(self.folder / workload)
                    )
                    times[one].append(found)
            row: dict[str, Any] = {
                one: round(count / statistics.median(run["seconds"] for run in runs), 2) for one, runs in times.items()
            }
            cpu = {one: statistics.median(run["cpu"] for run in runs) for one, runs in times.items()}
            row["cpu_fraction"] = round(cpu["bare"] / cpu["oneword"], 3)
            row["fraction_of_bare_encoder"] = round(row["oneword"] / row["bare"], 3)
            whole = statistics.median(run["seconds"] + run["build"] for run in times["oneword"])
            row["fraction_with_ann_index"] = round(count / whole / row["bare"], 3)
            for other in able[2:]:
                row[f"ratio_vs_{other}"] = round(row["oneword"] / row[other], 3)
            table[workload] = row
            print(f"{encoder:9}{workload:9}", "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        return table

    def all_speed(self) -> None:
        """The headline."""
        names = ["bare", "oneword", "script", "batches", *(["clip_retrieval"] if self.given.clip_retrieval else [])]
        names += ["before"] if self.given.package else []
        speed = self.speed("basic", names, self.workloads())
        self.found["basic"] = speed
        for key in (
            "fraction_of_bare_encoder",
            "cpu_fraction",
            "fraction_with_ann_index",
            "ratio_vs_script",
            "ratio_vs_batches",
        ):
            name = {"ratio_vs_script": "ratio_vs_plain_script", "ratio_vs_batches": "ratio_vs_batched_script"}.get(
                key, key
            )
            self.found[name] = min(row[key] for row in speed.values())  # of the workload where it is worst

    def workloads(self) -> dict[str, int]:
        """Names and counts of inputs; made at the first call."""
        photos, texts = self.sizes["pictures"], self.sizes["texts"]
        if not (self.folder / "texts").exists():
            pictures(self.folder / "pictures", photos)
            sentences(self.folder / "texts", texts)
            if not self.given.quick:
                pictures(self.folder / "mixed", photos // 2)
                sentences(self.folder / "mixed", texts // 2)
        return {"pictures": photos, "texts": texts, **({} if self.given.quick else {"mixed": photos // 2 + texts // 2})}

    def all_sleeping(self) -> None:
        """What a GPU would see."""
        self.found["sleeping"] = self.speed("sleeping", ["bare", "oneword"], self.workloads())

    def all_busy(self) -> None:
        """Whether two cores feed an eighth of a GPU."""
        workloads = {"4000x3000": 60, "1920x1080": 60, "640x480": 60, "texts": 4000}
        self.found["busy"] = {}
        for workload, count in workloads.items():
            folder = self.folder / f"busy-{workload}"
            if workload == "texts":
                sentences(folder, count)
            else:
                pictures(folder, count, (int(workload.partition("x")[0]), int(workload.partition("x")[2])))
            runs = [
                self.run(contender="oneword", encoder="stretched", data=str(folder))
                for _ in range(self.sizes["repeats"])
            ]
            self.found["busy"][workload] = {
                "device_busy": round(statistics.median(run["busy"] for run in runs), 3),
                "cpu": round(statistics.median(run["cpu"] for run in runs) / count, 4),
                "load": round(os.getloadavg()[0], 2),
            }
            print("busy     ", workload, self.found["busy"][workload], flush=True)

    def all_memory(self) -> None:
        """Peaks of memory at n and at 10 n."""
        rows, small = self.sizes["rows"], self.sizes["small"]
        build = not self.given.quick
        made = [sentences(self.folder / f"rows-{count}", count) for count in (rows, 10 * rows)]
        if self.given.package:
            few, many = (self.run(before=True, grow=str(path), build=build, again=path == made[-1]) for path in made)
            self.found["before"] = {"rss_ratio_100k_over_10k": round(many["peak_mib"] / few["peak_mib"], 3), **many}
        few, many = (self.run(grow=str(path), build=build, again=path == made[-1]) for path in made)
        self.found["texts"] = {str(rows): few, str(10 * rows): many}
        self.found["rss_ratio_100k_over_10k"] = round(many["peak_mib"] / few["peak_mib"], 3)
        self.found["rss_ratio_with_ann_index"] = round(many["peak_with_build_mib"] / few["peak_with_build_mib"], 3)
        self._rate(many)
        if small:
            for count in (small, 10 * small):
                pictures(self.folder / f"small-{count}", count, (160, 120))
            few, many = (
                self.run(grow=str(self.folder / f"small-{n}"), build=build, again=False) for n in (small, 10 * small)
            )
            self.found["small_pictures"] = {str(small): few, str(10 * small): many}
            self.found["rss_ratio_small_pictures"] = round(many["peak_mib"] / few["peak_mib"], 3)

    def all_growth(self) -> None:
        """Rates in a long job, whose ANN index is not built."""
        if (rows := self.sizes["growth"]) > 10 * self.sizes["rows"]:
            path = sentences(self.folder / "growth", rows)
            self.found["growth"] = self.run(grow=str(path), build=False, again=True)
            self._rate(self.found["growth"])

    def all_writing(self) -> None:
        """What a commit and a search cost: durable or not, with few and with as many metadata keys as there may be."""
        kinds = {"durable": (True, 10), "not_durable": (False, 10), "512_keys": (True, 512)}
        stores = {name: Writing(self.folder / f"writing-{name}", *kind) for name, kind in kinds.items()}
        times: dict[str, dict[str, list[float]]] = {name: {"1": [], "1000": [], "search": []} for name in kinds}
        for _ in range(20):
            for name, store in stores.items():
                times[name]["1000"].append(store.commit(1000))
                for _ in range(5):
                    times[name]["1"].append(store.commit(1))
        for _ in range(50):
            for name, store in stores.items():
                times[name]["search"].append(store.search())
        self.found["writing_ms"] = {
            name: {what: round(1000 * statistics.median(one), 2) for what, one in row.items()}
            for name, row in times.items()
        }
        print(self.found["writing_ms"], flush=True)

    def _rate(self, found: dict[str, Any]) -> None:
        self.found["rate_end_over_start"] = round(found["rates"][-1] / found["rates"][0], 3)
        self.found["cpu_rate_end_over_start"] = round(found["cpu_rates"][-1] / found["cpu_rates"][0], 3)
        self.found["again_over_first"] = round(found["again_seconds"] / found["seconds"], 3)
        print({key: value for key, value in found.items() if key != "stages"}, flush=True)


class Writing:
    """A collection that is written to."""

    def __init__(self, folder: Path, durable: bool, keys: int) -> None:
        space = {"model": "none", "view": "default", "fingerprint": "0", "dimension": 384, "prompts": {}}
        self._collection = Store(str(folder), config=StorageConfig(durable=durable)).create("default", space)
        self._draw, self._keys, self._made = np.random.default_rng(0), keys, 0

    def commit(self, count: int) -> float:
        """Seconds; items have 10 of the keys each, in turn."""
        vectors = self._draw.normal(size=(count, 384)).astype(np.float32)
        items = [
            Item(
                id=f"{self._made + n}",
                modality="text",
                uri=f"urn:{self._made + n}",
                content_hash=f"{self._made + n}",
                text=f"text {n}",
                metadata={f"key_{(10 * (self._made + n) + k) % self._keys}": n for k in range(10)},
                vector=vector / np.linalg.norm(vector),
            )
            for n, vector in enumerate(vectors)
        ]
        self._made += count
        began = time.perf_counter()
        self._collection.upsert(items)
        return time.perf_counter() - began

    def search(self) -> float:
        """Seconds; by a question and a filter never asked before."""
        question, year = self._draw.normal(size=384), int(self._draw.integers(1000))
        began = time.perf_counter()
        self._collection.search(question, filter=f"key_3 >= {year}")
        return time.perf_counter() - began


def child(told: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    scratch = Path(told["scratch"])
    if "grow" in told:
        return grow(Path(told["grow"]), scratch, build=told["build"], again=told["again"])
    if told["clip_retrieval"]:
        use_clip_retrieval(Path(told["clip_retrieval"]))
    contender, encoder = CONTENDERS[told["contender"]], encoder_of(told["encoder"])
    pictures(scratch / "few", 4)
    sentences(scratch / "few", 4)
    contender(encoder, scratch / "few", scratch / "warm")
    return contender(encoder, Path(told["data"]), scratch)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, within two minutes")
    parser.add_argument("--out", help="a file that keeps what was found so far")
    parser.add_argument("--clip-retrieval", help="a folder that it was installed into")
    parser.add_argument("--package", type=Path, help="another checkout, to compare")
    parser.add_argument("--pictures", type=int, help="how many")
    parser.add_argument("--texts", type=int, help="how many")
    parser.add_argument("--repeats", type=int, help="of each contender")
    parser.add_argument(
        "--parts", help="which, with commas between; default: all, with --quick speed, memory and growth"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(json.loads(given.child))))
        return
    with tempfile.TemporaryDirectory(prefix="oneword-benchmark-") as folder:
        benchmark = Benchmark(given, Path(folder))
        parts = given.parts or ("speed,memory,growth" if given.quick else "speed,sleeping,busy,memory,growth,writing")
        for part in parts.split(","):
            getattr(benchmark, f"all_{part}")()
            benchmark.keep()
        print(json.dumps(benchmark.found))


if __name__ == "__main__":
    main()
