"""`oneword index`."""

import json
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.options import Dimensions, MaxTokensPerBatch, Revision
from oneword.indexer.options import Captions, SourceKind
from oneword.indexer.terminal import Dtype, Quantise, logging_to, progress_bar, show
from oneword.storage.terminal import print_json

if TYPE_CHECKING:
    from oneword.indexer.job import Runner
    from oneword.indexer.report import Report


MAX_PREFIX = 64
"""Characters of --id-prefix, beside ids of up to oneword.indexer.sources.layout.MAX_ID."""


class EngineKind(StrEnum):
    """What runs a job."""

    LOCAL = "local"
    RAY = "ray"


def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Folders, files, tables (.csv .jsonl .parquet .arrow), .tar shards, data sets, URLs.",
        ),
    ],
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="Made if it does not exist.")] = "default",
    model: Annotated[
        str, typer.Option(help="auto, basic, e5-v, a Hugging Face id, a folder, or a server's URL.")
    ] = "auto",
    revision: Revision = None,
    dimensions: Dimensions = None,
    view: Annotated[str | None, typer.Option(help="How things are described: a view's name or a .toml file.")] = None,
    source: Annotated[
        SourceKind, typer.Option(help="What the paths are, where their names do not say it.")
    ] = SourceKind.AUTO,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only files like this; again for more."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="No files like this; again for more."),
    ] = None,
    captions: Annotated[
        Captions, typer.Option(help="What a .txt beside a picture of the same stem is.")
    ] = Captions.ATTACH,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let URLs lead into private networks, too.")
    ] = False,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help="Ids.")] = None,
    text_column: Annotated[str | None, typer.Option(metavar="NAME", help="Texts, or captions.")] = None,
    image_column: Annotated[str | None, typer.Option(metavar="NAME", help="Paths, URLs or bytes of pictures.")] = None,
    metadata_columns: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Metadata; default: all other columns."),
    ] = None,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="Add and update (which is always done); see --delete-missing."),
    ] = False,
    delete_missing: Annotated[
        bool,
        typer.Option("--delete-missing", help="Remove items of these paths whose input is gone."),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Delete also what came from a path that is gone or a folder that is empty."),
    ] = False,
    delimiter: Annotated[
        str | None, typer.Option(metavar="SIGN", help="Between cells of CSV files, where it is not seen by itself.")
    ] = None,
    allow_scheme: Annotated[
        list[str] | None,
        typer.Option(metavar="SCHEME", help="Let tables and lists name other stores, such as s3; again for more."),
    ] = None,
    id_prefix: Annotated[str, typer.Option(metavar="TEXT", help="Put before the ids that rows bring.")] = "",
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Rows replace items of other sources that have their ids.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: index again whenever something changes.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read everything, write nothing, say what would be done."),
    ] = False,
    reread: Annotated[
        bool,
        typer.Option("--reread", help="Read also files of unchanged time and size, and URLs again."),
    ] = False,
    passages: Annotated[
        str,
        typer.Option(metavar="auto|off|N", help="Split texts into passages of so many tokens."),
    ] = "auto",
    decoders: Annotated[int | None, typer.Option(min=1, max=256, help="Processes that decode pictures.")] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=MOST_PIXELS, help="Largest image that is no JPEG; JPEGs are reduced.")
    ] = MAX_PIXELS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Number format of the weights.")] = Dtype.AUTO,
    quantise: Annotated[Quantise | None, typer.Option(help="Load the weights in 8 or 4 bits (CUDA).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most inputs in one forward pass.")] = None,
    max_tokens_per_batch: MaxTokensPerBatch = None,
    engine: Annotated[EngineKind, typer.Option(help="This machine, or a Ray cluster.")] = EngineKind.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|local|HOST:PORT",
            help="Of the cluster; auto: that this machine is in; local: one made for the job.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that hold the model; default: one a GPU."),
    ] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(min=0, help="0, a fraction, or some.")] = None,
    roots: Annotated[
        list[str] | None,
        typer.Option("--root", metavar="ROOT", help="Read nothing outside this folder or URI prefix; again for more."),
    ] = None,
    job_id: Annotated[str | None, typer.Option(hidden=True, help="Of the journal's entry.")] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a JSON report there.", dir_okay=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any input was quarantined.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Index pictures and texts. Run it again: only what is new or changed is embedded."""
    from rich.console import Console

    from oneword.engine.config import EngineConfig
    from oneword.indexer.index import index_paths
    from oneword.indexer.options import JobConfig, SourceOptions
    from oneword.indexer.pipeline import Local
    from oneword.indexer.stopping import stopping
    from oneword.indexer.watching import watch as watching
    from oneword.storage.journal import is_id

    if delete_missing and not (sync or watch):
        raise typer.BadParameter("--delete-missing removes items: give --sync, too")
    if delimiter is not None:
        delimiter = delimiter.replace("\\t", "\t")
        if len(delimiter) != 1:
            raise typer.BadParameter(f"--delimiter {delimiter!r}: expected one character, such as ';' or '\\t'")
    if len(id_prefix) > MAX_PREFIX or not id_prefix.isprintable():
        raise typer.BadParameter(f"--id-prefix {id_prefix!r}: expected at most {MAX_PREFIX} printable characters")
    if report_file and not report_file.parent.is_dir():
        raise typer.BadParameter(
            f"--report {report_file}: the folder {str(report_file.parent)!r} does not exist; make it"
        )
    if engine is EngineKind.LOCAL and (address, workers, gpus_per_worker) != (None, None, None):
        raise typer.BadParameter(
            "--address, --workers and --gpus-per-worker say how a cluster is used: give --engine ray"
        )
    if job_id is not None and not is_id(job_id):
        raise typer.BadParameter(f"--job-id {job_id!r}: expected one as oneword.storage.journal.new_id makes them")
    if job_id is not None and watch:
        raise typer.BadParameter("--job-id is one job's, and --watch starts many: leave one of them out")
    runner: Runner | None = None
    apart: Callable[[], AbstractContextManager[None]] = nullcontext
    if engine is EngineKind.RAY:
        from oneword.indexer.distributed.cluster import apart_from_stdout
        from oneword.indexer.distributed.config import RayConfig
        from oneword.indexer.distributed.runner import RayRunner

        apart = apart_from_stdout
        runner = RayRunner(RayConfig(address=address or "auto", workers=workers, gpus_per_worker=gpus_per_worker))
    console = Console(stderr=True)
    logging_to(console)
    options = SourceOptions(
        kind=source,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        captions=captions,
        id_column=id_column,
        text_column=text_column,
        image_column=image_column,
        id_prefix=id_prefix,
        allow_schemes=tuple(one.lower() for one in allow_scheme or ()),
        delimiter=delimiter,
        metadata_columns=None if metadata_columns is None else tuple(filter(None, metadata_columns.split(","))),
    )
    config = JobConfig(
        passages=_passages(passages),
        delete_missing=delete_missing,
        yes=yes,
        take_over=take_over,
        reread=reread,
        dry_run=dry_run,
        decoders=decoders,
        max_pixels=max_pixels,
        allow_private=allow_private,
        roots=tuple(roots or ()),
    )
    encoder = EngineConfig(
        model=model,
        device=device,
        dtype=dtype.value,
        quantise=quantise and quantise.value,
        batch_size=batch_size,
        max_tokens_per_batch=max_tokens_per_batch,
        revision=revision,
        dimensions=dimensions,
    )

    with stopping() as stop, progress_bar(console) as bar:
        task = bar.add_task("indexing", total=None)
        report: Report | None = None

        def once() -> "Report":
            with apart():
                return index_paths(
                    paths,
                    db=db,
                    collection=collection,
                    model=encoder,
                    view=view,
                    options=options,
                    config=config,
                    progress=bar.following(task),
                    stop=stop,
                    command=shlex.join(["oneword", *sys.argv[1:]]),
                    job_id=job_id,
                    runner=runner or Local(),
                )

        for report in watching(paths, once, stop, db=db) if watch else iter([once()]):
            if report_file:
                report_file.write_text(
                    json.dumps(report.as_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
                )
            if as_json:
                print_json(report.as_dict(), indent=None)
            else:
                show(report, db)
    if stop.is_set() and (report is None or report.interrupted):
        raise typer.Exit(stop.exit_code)
    assert report is not None
    if report.quarantined and not report.indexed + report.unchanged:
        raise typer.Exit(1)
    if report.quarantined and strict:
        raise typer.Exit(3)


def _passages(given: str) -> int | None:
    """As `JobConfig` takes it."""
    if given == "auto":
        return None
    if given == "off":
        return 0
    if given.isdecimal() and 8 <= int(given) <= 8192:
        return int(given)
    raise typer.BadParameter(f"--passages {given!r}: expected auto, off, or a number of tokens from 8 to 8192")
