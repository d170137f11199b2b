"""`oneword eval`: a model on the four task families."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.encoder import Encoder
    from engine.evaluation.report import Report
    from engine.evaluation.vectors import VectorCache

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure a model, or an index that is in use.")

Data = Annotated[Path, typer.Option(help="Folder of the data set, in its published layout.")]
Model = Annotated[str, typer.Option(help="A name, a hub id, or a checkpoint's folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")]
Quantise = Annotated[str | None, typer.Option(help="int8 or nf4, on CUDA.")]
Cache = Annotated[Path | None, typer.Option(help="Folder where vectors are kept, to be used again.")]
Out = Annotated[Path | None, typer.Option(help="Also write the report there, as JSON.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Split = Annotated[str, typer.Option(help="Which split.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many pictures; for a quick look.")]


@app.command("text-image")
def text_image(
    data: Data,
    model: Model = "auto",
    split: Split = "test",
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantise: Quantise = None,
    cache: Cache = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Text to image and back: Flickr30K or COCO in Karpathy's layout, or a `datasets` folder."""
    from engine.evaluation.captioned import read_captioned
    from engine.evaluation.text_image import text_image as run

    read = read_captioned(data, split, limit)
    _run(lambda vectors: run(read, str(data), vectors), model, device, dtype, quantise, cache, out, as_json)


@app.command("image-image")
def image_image(
    data: Data,
    model: Model = "auto",
    split: Split = "test",
    limit: Limit = None,
    font: Annotated[Path | None, typer.Option(help="A .ttf file for the captions; the paper's is Arial.")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantise: Quantise = None,
    cache: Cache = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The same data as text-image, with each caption rendered as a picture."""
    from engine.evaluation.captioned import read_captioned
    from engine.evaluation.text_image import image_image as run

    read = read_captioned(data, split, limit)
    _run(lambda vectors: run(read, str(data), vectors, font), model, device, dtype, quantise, cache, out, as_json)


@app.command("cirr")
def cirr(
    data: Data,
    model: Model = "auto",
    split: Split = "val",
    submission: Annotated[
        Path | None, typer.Option(help="Write the test server's two files into this folder instead.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantise: Quantise = None,
    cache: Cache = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A picture and a change: CIRR's validation split, or files for its test server (--split test1 --submission)."""
    from engine.evaluation.cirr import cirr as run
    from engine.evaluation.cirr import read_cirr
    from engine.evaluation.cirr import submission as submit
    from engine.evaluation.vectors import VectorCache

    read = read_cirr(data, split)
    if submission is None:
        _run(lambda vectors: run(read, str(data), vectors), model, device, dtype, quantise, cache, out, as_json)
        return
    written = submit(read, VectorCache(_load(model, device, dtype, quantise), cache, _progress()), submission)
    if as_json:
        print(json.dumps({"written": [str(path) for path in written]}))
    else:
        print("\n".join(f"Written: {path}" for path in written))


@app.command("fashioniq")
def fashioniq(
    data: Data,
    model: Model = "auto",
    split: Split = "val",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantise: Quantise = None,
    cache: Cache = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A garment and what another has instead: FashionIQ's validation split."""
    from engine.evaluation.fashioniq import fashioniq as run

    _run(lambda vectors: run(data, vectors, split), model, device, dtype, quantise, cache, out, as_json)


@app.command("sts")
def sts(
    data: Data,
    model: Model = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantise: Quantise = None,
    cache: Cache = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Sentence similarity: STS12 to 16, STS-B and SICK-R in SentEval's layout, whichever are there."""
    from engine.e5v.dependencies import require
    from engine.evaluation.sts import read_sts
    from engine.evaluation.sts import sts as run

    require("scipy", what="sts", extra="eval")
    read = read_sts(data)
    _run(lambda vectors: run(read, str(data), vectors), model, device, dtype, quantise, cache, out, as_json)


def _load(model: str, device: str, dtype: str, quantise: str | None) -> "Encoder":
    from engine.config import EngineConfig
    from engine.models import load

    return load(EngineConfig(model=model, device=device, dtype=dtype, quantise=quantise))


def _run(
    task: "Callable[[VectorCache], Report]",
    model: str,
    device: str,
    dtype: str,
    quantise: str | None,
    cache: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from engine.evaluation.vectors import VectorCache

    if out is not None:  # before the work: a place that cannot be written to would lose it
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch()
    report = task(VectorCache(_load(model, device, dtype, quantise), cache, _progress()))
    document = json.dumps(report.as_dict(), ensure_ascii=False)
    if out is not None:
        out.write_text(document + "\n", encoding="utf-8")
    if as_json:
        print(document)
    else:
        _show(report)


def _progress() -> "Callable[[int, int], None] | None":
    if not sys.stderr.isatty():
        return None
    return lambda done, count: print(f"\r{done} of {count}", end="\n" if done == count else "", file=sys.stderr)


def _show(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("metric")
    table.add_column("percent", justify="right")
    if report.paper:
        table.add_column("E5-V's own", justify="right")
    for name, value in report.metrics.items():
        known = report.paper.get(name)
        table.add_row(name, f"{value:.2f}", *([f"{known:.2f}" if known is not None else ""] if report.paper else []))
    counts = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    console.print(f"{report.task}, {report.model}, {counts}", markup=False)
    console.print(table)
    for note in report.notes:
        console.print(f"Note: {note}.", markup=False)
