"""`oneword eval`: a model on the four task families."""

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oneword.engine.errors import EngineError
from oneword.engine.evaluation.processes import Processes
from oneword.engine.options import Compile, MaxTokensPerBatch, Revision
from oneword.engine.remote.name import is_remote

if TYPE_CHECKING:
    from oneword.engine.evaluation.report import Report
    from oneword.engine.evaluation.vectors import VectorCache

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure a model, or an index that is in use.")

Data = Annotated[Path, typer.Option(help="Folder of the data set, in its published layout.")]
Split = Annotated[str, typer.Option(help="Which split.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only this number of images, the first ones; for a quick look.")]


@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of every task."""

    model: Annotated[str, typer.Option(help="A name, a hub id, or a checkpoint's folder.")] = "auto"
    revision: Revision = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto"
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto"
    quantize: Annotated[str | None, typer.Option(help="int8 or nf4, on CUDA.")] = None
    compile: Compile = False
    max_tokens_per_batch: MaxTokensPerBatch = None
    preprocessing: Annotated[
        str, typer.Option(help="standard, or as-published: images as when E5-V's figures were measured.")
    ] = "standard"
    cache: Annotated[Path | None, typer.Option(help="Folder where vectors are kept, to be used again.")] = None
    out: Annotated[Path | None, typer.Option(help="Also write the report there, as JSON.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False

    @cached_property
    def processes(self) -> Processes:
        """Those that `accelerate launch` or `torchrun` started."""
        return Processes.launched()

    def vectors(self) -> "VectorCache":
        """The model, loaded, behind its cache."""
        from oneword.engine.config import EngineConfig
        from oneword.engine.evaluation.vectors import VectorCache
        from oneword.engine.models import load

        config = EngineConfig(
            model=self.model,
            revision=self.revision,
            device=self.device if is_remote(self.model) else self.processes.device(self.device),
            dtype=self.dtype,
            quantize=self.quantize,
            compile=self.compile,
            preprocessing=self.preprocessing,
            max_tokens_per_batch=self.max_tokens_per_batch,
        )
        return VectorCache(load(config), self.cache, _progress() if self.processes.main else None, self.processes)

    def run(self, task: "Callable[[VectorCache], Report]") -> None:
        """Runs a task; the main process prints its report, and writes it where asked."""
        if self.out is not None and self.processes.main:  # before the work: a place that cannot be written to loses it
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.out.touch()
        from oneword.engine.evaluation.row import row_of

        vectors = self.vectors()
        report = task(vectors)
        if not self.processes.main:
            return
        line = row_of(vectors.encoder, report)
        document = json.dumps({**report.as_dict(), "row": line}, ensure_ascii=False)
        if self.out is not None:
            self.out.write_text(document + "\n", encoding="utf-8")
        if self.as_json:
            print(document)
        else:
            _show(report)
            print(f"Its row of docs/models.md:\n{line}", end="")


def _task(name: str) -> Callable[[Callable[..., None]], None]:
    """Makes a command of a function whose first argument is `Common`: its options follow the function's own."""

    def register(function: Callable[..., None]) -> None:
        own = list(inspect.signature(function).parameters.values())[1:]
        common = list(inspect.signature(Common).parameters.values())
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *common)]

        def command(**given: Any) -> None:
            shared = Common(**{one.name: given.pop(one.name) for one in common})
            main = shared.processes.main  # asked first, so that all processes have met before one can fail
            try:
                function(shared, **given)
            except EngineError as error:
                if main:
                    raise
                print(f"error: {error}", file=sys.stderr)  # standard output is the main process's
                raise typer.Exit(1) from None

        command.__doc__ = function.__doc__
        command.__annotations__ = {one.name: one.annotation for one in keyword}
        command.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        app.command(name)(command)

    return register


@_task("text-image")
def text_image(common: Common, data: Data, split: Split = "test", limit: Limit = None) -> None:
    """Text to image and back: Flickr30K or COCO in Karpathy's layout, or a `datasets` folder."""
    from oneword.engine.evaluation.captioned import read_captioned
    from oneword.engine.evaluation.text_image import text_image as run

    read = read_captioned(data, split, limit)
    common.run(lambda vectors: run(read, str(data), vectors))


@_task("image-image")
def image_image(
    common: Common,
    data: Data,
    split: Split = "test",
    limit: Limit = None,
    font: Annotated[Path | None, typer.Option(help="A .ttf file for the captions; the paper's is Arial.")] = None,
) -> None:
    """The same data as text-image, with each caption rendered as an image."""
    from oneword.engine.evaluation.captioned import read_captioned
    from oneword.engine.evaluation.text_image import image_image as run

    read = read_captioned(data, split, limit)
    common.run(lambda vectors: run(read, str(data), vectors, font))


@_task("cirr")
def cirr(
    common: Common,
    data: Data,
    split: Split = "val",
    submission: Annotated[
        Path | None, typer.Option(help="Write the test server's two files into this folder instead.")
    ] = None,
) -> None:
    """An image and a change: CIRR's validation split, or files for its test server (--split test1 --submission)."""
    from oneword.engine.evaluation.cirr import cirr as run
    from oneword.engine.evaluation.cirr import read_cirr
    from oneword.engine.evaluation.cirr import submission as submit

    read = read_cirr(data, split)
    if submission is None:
        common.run(lambda vectors: run(read, str(data), vectors))
        return
    written = submit(read, common.vectors(), submission)
    if not common.processes.main:
        return
    if common.as_json:
        print(json.dumps({"written": [str(path) for path in written]}))
    else:
        print("\n".join(f"Written: {path}" for path in written))


@_task("fashioniq")
def fashioniq(common: Common, data: Data, split: Split = "val") -> None:
    """A garment and what another has instead: FashionIQ's validation split."""
    from oneword.engine.evaluation.fashioniq import fashioniq as run

    common.run(lambda vectors: run(data, vectors, split))


@_task("sts")
def sts(common: Common, data: Data) -> None:
    """Sentence similarity: STS12 to 16, STS-B and SICK-R in SentEval's layout, whichever are there."""
    from oneword.engine.dependencies import require
    from oneword.engine.evaluation.sts import read_sts
    from oneword.engine.evaluation.sts import sts as run

    require("scipy", what="sts", extra="eval")
    read = read_sts(data)
    common.run(lambda vectors: run(read, str(data), vectors))


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
    preprocessing = f", preprocessing {report.preprocessing}" if report.preprocessing else ""
    console.print(f"{report.task}, {report.model}, {counts}{preprocessing}", markup=False)
    console.print(table)
    for note in report.notes:
        console.print(f"Note: {note}.", markup=False)
