"""What index.py compares: each way to get a workload into a store, in a process of its own, as a function of this file.

All are handed an encoder that is loaded already, and their clock starts after it. All encode on the same cores.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import psutil

from oneword.engine import Image, Input, Text, encode, load
from oneword.engine.e5v.tiling import Tiler
from oneword.engine.encoder import Side, Vectors
from oneword.engine.images import decode_file
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View

BATCH = 64  # inputs of a batch of the plain script's batch form
ROWS_OF_TEXTS = "texts.jsonl"


class SleepingEncoder:
    """A stand-in for a model on a device: it sleeps a fixed time for each input and takes nothing of the CPU.

    50 pictures or 1,000 texts a second. E5-V's 7.5 billion parameters and 2,340 tokens a picture come to 35 TFLOP, so
    that an H100 at 400 TFLOP/s would do 11 pictures. The vectors, as long as E5-V's, are random and mean nothing.
    """

    name = "sleeping"
    dimension = 4096
    chunk_tokens = 512
    tokenizer = None
    PICTURE, TEXT = 0.020, 0.001  # seconds

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def space(self, view: View) -> Space:
        return Space(model=self.name, revision="1", view=view, preprocessing={}, dimension=self.dimension)

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:  # noqa: ARG002
        batches = []
        for kind, most in ((Image, 16), (Text, 256)):
            own = [number for number, one in enumerate(inputs) if isinstance(one, kind)]
            batches += [own[start : start + most] for start in range(0, len(own), most)]
        return batches

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> tuple[float, Vectors]:  # noqa: ARG002
        seconds = sum(self.PICTURE if isinstance(one, Image) else self.TEXT for one in inputs)
        return seconds, self._random.standard_normal((len(inputs), self.dimension), dtype=np.float32)

    def forward(self, batch: tuple[float, Vectors]) -> Vectors:
        time.sleep(batch[0])
        return batch[1]

    def finish(self, raw: Vectors) -> Vectors:
        return raw


class Stretched(SleepingEncoder):
    """E5-V on an H100, as slow as two cores are beside the sixteen that would feed it: eight times.

    A picture of 4:3 has 2,360 tokens with its prompt, 35 TFLOP, and at 400 TFLOP/s takes 88 ms. Pictures are tiled as
    E5-V's are, in the decoding processes.
    """

    name = "stretched"
    PICTURE, TEXT = 8 * 0.088, 8 * 0.0017
    tiler = Tiler(side=336, grids=((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)), resample=3)

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[tuple[float, float]] = []  # began, ended

    def forward(self, batch: tuple[float, Vectors]) -> Vectors:
        began = time.perf_counter()
        found = super().forward(batch)
        self.slept.append((began, time.perf_counter()))
        return found

    def busy(self) -> float:
        """Share of the time from the first batch's beginning to the last one's end; forgets both."""
        share = sum(ended - began for began, ended in self.slept) / (self.slept[-1][1] - self.slept[0][0])
        self.slept = []
        return share


class Clock:
    """Seconds since it was made: by the wall, and of CPU time, of this process and those that it has started."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def __call__(self) -> dict[str, float]:
        return {"seconds": time.perf_counter() - self._wall, "cpu": _cpu() - self._cpu}


def _cpu() -> float:
    own = psutil.Process()
    times = [own.cpu_times(), *(one.cpu_times() for one in own.children(recursive=True))]
    return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system


SLEEPERS: dict[str, Callable[[], Any]] = {one.name: one for one in (SleepingEncoder, Stretched)}


def encoder_of(name: str) -> Any:
    """Loaded, and warm: its first batches are done."""
    encoder = SLEEPERS[name]() if name in SLEEPERS else load(name)
    noise = PIL.Image.effect_noise((640, 480), 50).convert("RGB")
    encode(encoder, [Image(pixels=noise)] * 8 + [Text(text=f"a warm {n}") for n in range(8)], DEFAULT)
    return encoder


def paths_of(folder: Path) -> list[Path]:
    """What there is to index: a table of texts, or pictures, or both."""
    return sorted(one for one in folder.iterdir() if one.suffix in (".jpg", ".jsonl"))


def content_of(folder: Path) -> Iterator[tuple[str, Callable[[], Input]]]:
    """Ids, and what reads and decodes their content."""
    for path in paths_of(folder):
        if path.suffix == ".jpg":
            yield path.name, lambda path=path: Image(pixels=decode_file(path))
        else:
            for line in path.open(encoding="utf-8"):
                row = json.loads(line)
                yield row["id"], lambda row=row: Text(text=row["text"])


def bare(encoder: Any, folder: Path, scratch: Path) -> dict[str, float]:  # noqa: ARG001
    """`oneword.engine.encode` of everything at once, decoded beforehand: nothing is read, looked up or written."""
    inputs = [read() for _, read in content_of(folder)]
    clock = Clock()
    encode(encoder, inputs, DEFAULT)
    return clock()


def oneword(encoder: Any, folder: Path, scratch: Path) -> dict[str, Any]:
    """`index_paths`, to the last commit, compaction and index of words; the ANN index's build apart."""
    from oneword.indexer import index_paths

    table = import_module("lancedb")  # as all of them have it before their clock starts
    assert table
    with timed_build() as build:
        clock = Clock()
        report = index_paths(paths_of(folder), db=str(scratch / "db"), model=encoder)
        found = clock()
    assert not report.quarantined, report.refused
    return {
        **({"busy": encoder.busy()} if isinstance(encoder, Stretched) else {}),
        "seconds": found["seconds"] - build["seconds"],
        "cpu": found["cpu"] - build["cpu"],
        "build": build["seconds"],
        "stages": report.stages,
        "beside": getattr(report, "beside", None),
    }


def script(encoder: Any, folder: Path, scratch: Path) -> dict[str, float]:
    """The loop that everybody writes first: decode, encode, `table.add`, one after the other."""
    import lancedb

    clock = Clock()
    database = lancedb.connect(scratch / "lance")
    table = None
    for name, read in content_of(folder):
        vector = encode(encoder, [read()], DEFAULT)[0]
        row = {"id": name, "vector": vector}
        if table is None:
            table = database.create_table("all", [row])
        else:
            table.add([row])
    return clock()


def batches(encoder: Any, folder: Path, scratch: Path) -> dict[str, float]:
    """LanceDB's documented way in for much: `create_table` from an iterator of record batches, 64 rows each."""
    import lancedb
    import pyarrow as pa

    kind = pa.list_(pa.float32(), encoder.dimension)
    schema = pa.schema([pa.field("id", pa.string()), pa.field("vector", kind)])

    def make_batches() -> Iterator[pa.RecordBatch]:
        some: list[tuple[str, Callable[[], Input]]] = []
        for one in content_of(folder):
            some.append(one)
            if len(some) == BATCH:
                yield made(some)
                some = []
        if some:
            yield made(some)

    def made(some: list[tuple[str, Callable[[], Input]]]) -> pa.RecordBatch:
        vectors = encode(encoder, [read() for _, read in some], DEFAULT)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=kind)
        return pa.RecordBatch.from_arrays([pa.array([name for name, _ in some]), column], schema=schema)

    clock = Clock()
    lancedb.connect(scratch / "lance").create_table("all", make_batches(), schema=schema)
    return clock()


def clip_retrieval(encoder: Any, folder: Path, scratch: Path) -> dict[str, float]:
    """clip-retrieval's own reader (one DataLoader worker), runner and writer, around our encoder; pictures only.

    It leaves numpy and parquet files; its third pass, an index over them, is not run.
    """
    import torch
    from torch.utils.data import default_collate  # noqa: F401 (imported before the clock starts, as by its reader)

    from oneword.engine.basic import classifier
    from oneword.engine.basic.encoder import Batch

    reader, runner, writer = (import_module(f"clip_retrieval.clip_inference.{name}") for name in PASSES)
    import_module("pandas")

    def preprocess(picture: PIL.Image.Image) -> Any:
        return torch.from_numpy(classifier.views(picture.convert("RGB")))

    def mapper(batch: dict[str, Any]) -> dict[str, Any]:
        pixels = batch["image_tensor"]
        count = len(pixels)
        ready = Batch(
            count=count,
            pixels=pixels,
            image_rows=torch.arange(count),
            image_weights=torch.ones(count, 1),
            tokens=None,
            texts=torch.arange(0),
        )
        vectors = encoder.finish(encoder.forward(ready))
        return {"image_embs": vectors, "image_filename": batch["image_filename"]}

    class Silent:
        def start(self) -> None: ...

        def __call__(self, stats: dict[str, float]) -> None: ...

        def end(self) -> None: ...

    clock = Clock()
    run = runner.Runner(
        lambda sampler: reader.FilesReader(sampler, preprocess, None, str(folder), BATCH, 1, enable_text=False),
        lambda: mapper,
        lambda number: writer.NumpyWriter(number, str(scratch / "clip"), False, True, False, 1),
        lambda number: Silent(),  # noqa: ARG005
        1,
    )
    run(0)
    return clock()


PASSES = ("reader", "runner", "writer")
CONTENDERS = {one.__name__: one for one in (bare, oneword, script, batches, clip_retrieval)}


def use_clip_retrieval(folder: Path) -> None:
    """Makes its inference importable, without the service that importing the package itself would bring in."""
    package = ModuleType("clip_retrieval")
    package.__path__ = [str(folder / "clip_retrieval")]
    inference = ModuleType("clip_retrieval.clip_inference")
    inference.__path__ = [str(folder / "clip_retrieval" / "clip_inference")]
    sys.modules |= {"clip_retrieval": package, "clip_retrieval.clip_inference": inference}


@contextmanager
def timed_build(*, skip: bool = False) -> Iterator[dict[str, float]]:
    """How long the ANN index's build takes, and this process's memory before it; skip: it is not built."""
    from oneword.storage import Collection

    found: dict[str, float] = {"seconds": 0.0, "cpu": 0.0}
    keep = Collection.keep_index

    def kept(self: Collection, **how: Any) -> bool:
        found["peak_mib"] = memory("VmHWM")
        clock = Clock()
        done = False if skip else keep(self, **how)
        found.update(clock())
        return done

    Collection.keep_index = kept  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Collection.keep_index = keep  # type: ignore[method-assign]


def grow(path: Path, scratch: Path, *, build: bool, again: bool) -> dict[str, Any]:
    """One job with the `hash` encoder: rates by tenth, memory, and how long a second, unchanged run takes."""
    from oneword.indexer import index_paths

    times: list[tuple[int, float]] = []
    cpu: list[tuple[int, float]] = []
    own = [0.0]

    def progress(done: int, total: int | None) -> None:  # noqa: ARG001
        times.append((done, time.perf_counter()))
        cpu.append((done, time.process_time()))
        own[0] = max(own[0], memory("RssAnon"))

    with timed_build(skip=not build) as built:
        began = time.perf_counter()
        report = index_paths([path], db=str(scratch / "db"), model="hash", progress=progress)
        ended = time.perf_counter()
        found: dict[str, Any] = {
            "inputs": report.inputs,
            "seconds": ended - began - built["seconds"],
            "build": built["seconds"],
            "peak_mib": built["peak_mib"],
            "peak_with_build_mib": memory("VmHWM"),
            "own_mib": own[0],  # not shared with files
            "rates": rates(times[1:], report.inputs),  # the first call comes before the table is surveyed
            "cpu_rates": rates(cpu[1:], report.inputs),  # a CPU second: other work on the machine matters less
            "stages": report.stages,
            "beside": getattr(report, "beside", None),
        }
        if again:
            gc.collect()
            began = time.perf_counter()
            report = index_paths([path], db=str(scratch / "db"), model="hash")
            found |= {"again_seconds": time.perf_counter() - began, "again_unchanged": report.unchanged}
    return found


def rates(times: Sequence[tuple[int, float]], count: int) -> list[float]:
    """Inputs a second in each tenth of the job; between two commits by interpolation."""
    done, at = zip(*((0, times[0][1]), *(one for one in times if one[0])), strict=True)
    crossed = np.interp(np.linspace(0, count, 11), done, at)
    return [float(one) for one in count / 10 / np.diff(crossed)]


def memory(name: str) -> float:
    """MiB of this process: VmHWM (resident at most so far), RssAnon (its own, now)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[name].split()[0]) / 1024
