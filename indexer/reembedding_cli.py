"""`oneword reembed`."""

from typing import Annotated

import typer

from oneword.engine.options import Dimensions, MaxTokensPerBatch, Revision
from oneword.indexer.terminal import SHOWN, Dtype, Quantise, progress_bar
from oneword.storage.terminal import confirm, print_json, say


def reembed(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    model: Annotated[str, typer.Option(help="auto, basic, e5-v, a Hugging Face id, or a checkpoint folder.")],
    revision: Revision = None,
    dimensions: Dimensions = None,
    view: Annotated[str | None, typer.Option(help="A view's name or a .toml file; else the collection's own.")] = None,
    into: Annotated[str | None, typer.Option(help="Put the result there, and leave the collection its name.")] = None,
    keep: Annotated[str | None, typer.Option(help="What the old collection is called afterwards.")] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Drop the old collection when all is embedded.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without items whose originals are gone or changed.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Number format of the weights.")] = Dtype.AUTO,
    quantise: Annotated[Quantise | None, typer.Option(help="Load the weights in 8 or 4 bits (CUDA).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most inputs in one forward pass.")] = None,
    max_tokens_per_batch: MaxTokensPerBatch = None,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the old collection is dropped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Embed a collection again with another model or view. It serves meanwhile; stopped, the same command goes on."""
    from rich.console import Console

    from oneword.engine.config import EngineConfig
    from oneword.indexer.reembedding import reembed as run

    if sum((into is not None, keep is not None, drop_old)) > 1:
        raise typer.BadParameter("--into, --keep and --drop-old say what becomes of the old collection: give one")
    if drop_old:
        confirm(f"Drop what {collection!r} is now, when all of it has been embedded again?", yes)
    config = EngineConfig(
        model=model,
        device=device,
        dtype=dtype.value,
        quantise=quantise and quantise.value,
        batch_size=batch_size,
        max_tokens_per_batch=max_tokens_per_batch,
        revision=revision,
        dimensions=dimensions,
    )
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=None)
        report = run(
            collection,
            model=config,
            db=db,
            view=view,
            into=into,
            keep=keep,
            drop_old=drop_old,
            allow_missing=allow_missing,
            progress=bar.following(task),
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
    for one in report.refused[:SHOWN]:
        say(f"quarantined {one.kind}: {one.reason}")
    if report.quarantined > SHOWN:
        say(f"... and {report.quarantined - SHOWN:,} more: oneword info {report.into} --json")
    say(f"Collection {report.into!r} in {db} is of model {report.model}, view {report.view}.")
    if report.kept_as:
        kept = " (something could not be embedded again)" if drop_old else ""
        say(f"The old one is kept as {report.kept_as!r}{kept}: oneword collections drop {report.kept_as}")
