"""`oneword index`."""

import json
import logging
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.captions import Captions

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task
    from rich.text import Text

    from indexer.report import Report

SHOWN = 10
"""Refusals listed on the terminal; --json and `oneword info` have them all."""


class Dtype(StrEnum):
    """Number formats of a model's weights."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Quantise(StrEnum):
    """Weight quantisations (bitsandbytes)."""

    INT8 = "int8"
    NF4 = "nf4"


def index(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Folders (recursive) and files.")],
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option(help="Made if it does not exist.")] = "default",
    model: Annotated[str, typer.Option(help="auto, basic, e5-v, a Hugging Face id, or a checkpoint folder.")] = "auto",
    view: Annotated[str | None, typer.Option(help="How things are described: a view's name or a .toml file.")] = None,
    captions: Annotated[
        Captions, typer.Option(help="What a .txt beside a picture of the same stem is.")
    ] = Captions.ATTACH,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Number format of the weights.")] = Dtype.AUTO,
    quantise: Annotated[Quantise | None, typer.Option(help="Load the weights in 8 or 4 bits (CUDA).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most inputs in one forward pass.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Index pictures and texts. Run it again: only what is new or changed is embedded."""
    from rich.console import Console
    from rich.logging import RichHandler

    from engine.config import EngineConfig
    from indexer.job import index_paths

    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False, show_time=False, show_level=False)],
    )
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells which instructions it has been built for
    config = EngineConfig(
        model=model,
        device=device,
        dtype=dtype.value,
        quantise=quantise and quantise.value,
        batch_size=batch_size,
    )
    with progress_bar(console) as bar:
        task = bar.add_task("indexing", total=None)
        report = index_paths(
            paths,
            db=db,
            collection=collection,
            model=config,
            view=view,
            captions=captions,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _show(report, db)
    if report.quarantined and not report.indexed + report.unchanged:
        raise typer.Exit(1)


def progress_bar(console: "Console") -> "Progress":
    """Bar, count, rate and time left, on stderr; gone when done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    class Rate(TextColumn):
        def __init__(self) -> None:
            super().__init__("")

        def render(self, task: "Task") -> "Text":
            from rich.text import Text

            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _show(report: "Report", db: str) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    rate = report.inputs / report.seconds if report.seconds else 0
    console.print(
        f"{report.inputs} inputs: [bold]{report.indexed} indexed[/bold] "
        f"({report.added} new, {report.updated} changed), {report.unchanged} unchanged, "
        f"{report.quarantined} quarantined  [dim]{report.seconds:.1f} s, {rate:.1f}/s[/dim]"
    )
    if not report.inputs:
        console.print("No pictures and no .txt or .md files were found.")
    if report.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in report.ignored.most_common(5))
        console.print(f"[dim]{report.ignored.total()} files of other kinds were passed over ({kinds})[/dim]")
    for one in report.refused[:SHOWN]:
        console.print(f"[yellow]quarantined[/yellow] {one.kind}: ", end="")
        console.print(one.reason, markup=False)
    if report.quarantined > SHOWN:
        console.print(f"... and {report.quarantined - SHOWN} more: oneword info --json")
    if report.quarantined:
        console.print("[dim]Mend or remove them and run the same command again.[/dim]")
    console.print(f"Collection [bold]{report.collection}[/bold] in {db}, model {report.model}.")
