"""`oneword index`, `oneword reembed`, `oneword quarantine retry` and `oneword collections create`."""

import inspect
import json
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from oneword.indexer.distributed.config import RayConfig
from oneword.indexer.options import Access, JobConfig, SourceOptions, option
from oneword.indexer.parameters import with_options
from oneword.storage.terminal import confirm, print_json, say

if TYPE_CHECKING:
    from oneword.engine.config import EngineConfig
    from oneword.indexer.job import Runner
    from oneword.indexer.report import Report


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a model is loaded and run; see `oneword.engine.config.EngineConfig`."""

    revision: str | None = option(None, "Of a model of the hub: a branch, a tag or a commit.", metavar="REV")
    dimensions: int | None = option(
        None, "Shorter vectors, for models trained for them (Matryoshka); see `oneword models`.", min=1
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N.")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = option("auto", "Number format of the weights.")
    quantize: Literal["int8", "nf4"] | None = option(None, "Load the weights in 8 or 4 bits (CUDA; bitsandbytes).")
    compile: bool = option(False, "Fuse operations with torch.compile: quicker after a minute (GPU).")
    batch_size: int | None = option(None, "Most inputs in one forward pass.", min=1)
    max_tokens_per_batch: int | None = option(
        None, "Most tokens in one forward pass (E5-V); default: by free memory.", min=1
    )

    def engine(self, model: str) -> "EngineConfig":
        """The configuration of the engine."""
        from oneword.engine.config import EngineConfig

        return EngineConfig(model=model, **vars(self))


Db = Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@with_options
def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Folders, files, tables (.csv .jsonl .parquet .arrow), .tar shards, data sets, URLs.",
        ),
    ],
    sources: SourceOptions,
    config: JobConfig,
    models: ModelOptions,
    ray: RayConfig,
    db: Db = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="Made if it does not exist.")] = "default",
    model: Annotated[
        str, typer.Option(help="auto, basic, e5-v, a Hugging Face id, a folder, or a server's URL.")
    ] = "auto",
    view: Annotated[str | None, typer.Option(help="Prompt template: a view's name or a .toml file.")] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Add and update (which is always done); see --delete-missing.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Continue: index again whenever something changes.")] = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")] = "local",
    job_id: Annotated[str | None, typer.Option(hidden=True, help="Of the journal's entry.")] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a JSON report there.", dir_okay=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any input was quarantined.")] = False,
    as_json: AsJson = False,
) -> None:
    """Index images and texts. Run it again: only what is new or changed is embedded."""
    from rich.console import Console

    from oneword.indexer.index import index_paths
    from oneword.indexer.pipeline import Local
    from oneword.indexer.terminal import log_to, offer_model, progress_bar, show, stop_on_signals
    from oneword.indexer.watching import watch as watching
    from oneword.storage import Store
    from oneword.storage.journal import is_id

    if config.delete_missing and not (sync or watch):
        raise typer.BadParameter("--delete-missing removes items: give --sync, too")
    if report_file and not report_file.parent.is_dir():
        raise typer.BadParameter(
            f"--report {report_file}: the folder {str(report_file.parent)!r} does not exist; make it"
        )
    if engine == "local" and ray != RayConfig():
        raise typer.BadParameter("--address, --workers and --gpus-per-worker are about a cluster: give --engine ray")
    if job_id is not None and not is_id(job_id):
        raise typer.BadParameter(f"--job-id {job_id!r}: expected an id made by oneword.storage.journal.new_id")
    if job_id is not None and watch:
        raise typer.BadParameter("--job-id is one job's, and --watch starts many: leave one of them out")
    apart: Callable[[], AbstractContextManager[None]] = nullcontext
    runner: Runner = Local()
    if engine == "ray":
        from oneword.indexer.distributed.cluster import apart_from_stdout
        from oneword.indexer.distributed.runner import RayRunner

        apart, runner = apart_from_stdout, RayRunner(ray)
    console = Console(stderr=True)
    log_to(console)
    if model == "auto" and not as_json and collection not in Store(db).collections():
        offer_model()

    with stop_on_signals() as stop, progress_bar(console, "indexing") as progress:
        report: Report | None = None

        def once() -> "Report":
            with apart():
                return index_paths(
                    paths,
                    db=db,
                    collection=collection,
                    model=models.engine(model),
                    view=view,
                    options=sources,
                    config=config,
                    progress=progress,
                    stop=stop,
                    command=shlex.join(["oneword", *sys.argv[1:]]),
                    job_id=job_id,
                    runner=runner,
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


def watch(**given: Any) -> None:
    """Index images and texts, and again whenever something changes: `index --watch`."""
    index(watch=True, job_id=None, **given)


watch.__signature__ = inspect.signature(index).replace(  # type: ignore[attr-defined]
    parameters=[one for name, one in inspect.signature(index).parameters.items() if name not in ("watch", "job_id")]
)
watch.__annotations__ = {one.name: one.annotation for one in inspect.signature(watch).parameters.values()}


@with_options
def reembed(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    model: Annotated[str, typer.Option(help="auto, basic, e5-v, a Hugging Face id, or a checkpoint folder.")],
    models: ModelOptions,
    view: Annotated[str | None, typer.Option(help="A view's name or a .toml file; else the collection's own.")] = None,
    into: Annotated[str | None, typer.Option(help="Put the result there, and leave the collection its name.")] = None,
    keep: Annotated[str | None, typer.Option(help="What the old collection is called afterwards.")] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Drop the old collection when all is embedded.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Continue without items whose originals are gone or changed.")
    ] = False,
    db: Db = ".oneword",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the old collection is dropped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Embed a collection again with another model or view. It serves meanwhile; stopped, the same command continues."""
    from rich.console import Console

    from oneword.indexer.reembedding import reembed as run
    from oneword.indexer.terminal import SHOWN, progress_bar

    if sum((into is not None, keep is not None, drop_old)) > 1:
        raise typer.BadParameter("--into, --keep and --drop-old say what becomes of the old collection: give one")
    if drop_old:
        confirm(f"Drop what {collection!r} is now, when all of it has been embedded again?", yes)
    with progress_bar(Console(stderr=True), "embedding") as progress:
        report = run(
            collection,
            model=models.engine(model),
            db=db,
            view=view,
            into=into,
            keep=keep,
            drop_old=drop_old,
            allow_missing=allow_missing,
            progress=progress,
        )
    if as_json:
        print_json(report.as_dict(), indent=None)
        return
    if report.already:
        say(f"Collection {collection!r} is of model {report.model}, view {report.view}: there is nothing to do.")
        return
    say(
        f"{report.items:,} items: {report.embedded:,} embedded, {report.unchanged:,} by an earlier run, "
        f"{report.quarantined:,} quarantined  {report.seconds:.1f} s"
    )
    if report.shortened:
        say(f"{report.shortened:,} texts are longer than the model reads, and were cut: at a sentence if possible.")
    if report.recall is not None:
        say(f"ANN index built: recall@10 is {report.recall:.3f} of an exact search, measured on its own vectors.")
    for one in report.refused[:SHOWN]:
        say(f"quarantined {one.kind}: {one.reason}")
    if report.quarantined > SHOWN:
        say(f"... and {report.quarantined - SHOWN:,} more: oneword info {report.into} --json")
    say(f"Collection {report.into!r} in {db} is of model {report.model}, view {report.view}.")
    if report.kept_as:
        kept = " (something could not be embedded again)" if drop_old else ""
        say(f"The old one is kept as {report.kept_as!r}{kept}: oneword collections drop {report.kept_as}")


@with_options
def retry(
    access: Access,
    uris: Annotated[list[str] | None, typer.Argument(metavar="URI...", help="Only these inputs; default: all.")] = None,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Of which collection.")] = "default",
    kind: Annotated[list[str] | None, typer.Option(help="Only reasons of this kind; repeatable.")] = None,
    db: Db = ".oneword",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Read quarantined inputs again from their sources, and index those that can be."""
    from rich.console import Console

    from oneword.engine.config import EngineConfig
    from oneword.indexer.retrying import retry as run
    from oneword.indexer.terminal import log_to, progress_bar, stop_on_signals

    console = Console(stderr=True)
    log_to(console)
    with stop_on_signals() as stop, progress_bar(console, "trying again") as progress:
        outcome = run(
            collection,
            db=db,
            uris=uris or (),
            kinds=kind or (),
            model=EngineConfig(device=device),
            config=JobConfig(**vars(access)),
            progress=progress,
            stop=stop,
        )
    if as_json:
        print_json(outcome.as_dict(), indent=None)
    else:
        say(
            f"{outcome.tried:,} tried again: {outcome.indexed:,} indexed, {outcome.quarantined:,} stay in quarantine, "
            f"{outcome.gone:,} are gone and were forgotten"
        )
        for reason in outcome.unreachable.values():
            say(f"a source cannot be opened: {reason}")
    if stop.is_set():
        raise typer.Exit(stop.exit_code)
    if outcome.unreachable or outcome.quarantined:
        raise typer.Exit(1)


@with_options
def create(
    name: Annotated[str, typer.Argument(help="The new collection.")],
    models: ModelOptions,
    like: Annotated[str | None, typer.Option(help="Take model and view of this collection.")] = None,
    model: Annotated[str | None, typer.Option(help="basic, e5-v, mini, a Hugging Face id, or a checkpoint.")] = None,
    view: Annotated[str | None, typer.Option(help="A view's name or a .toml file; with --model.")] = None,
    db: Db = ".oneword",
    as_json: AsJson = False,
) -> None:
    """Make an empty collection, for a model and view or like another one."""
    from oneword.storage import Store

    if (like is None) == (model is None):
        raise typer.BadParameter("say what the collection is for: --like OTHER, or --model MODEL (one of the two)")
    if like is not None and view is not None:
        raise typer.BadParameter("--view goes with --model: a collection made --like another one has its view")
    store = Store(db)
    if like is not None:
        space = store.open(like).space
    else:
        from oneword.engine import views
        from oneword.engine.models import load

        encoder = load(models.engine(str(model)))  # once, for its space
        space = encoder.space(views.get(view) if view else views.DEFAULT).as_dict()
    made = store.create(name, space)
    if as_json:
        print_json({"db": store.uri, "collection": made.name, "space": made.space})
    else:
        say(f"Made collection {name!r} in {store.uri}: model {space['model']}, view {space['view']}.")
