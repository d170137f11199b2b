"""`oneword quarantine retry`."""

from typing import Annotated

import typer

from oneword.indexer.terminal import logging_to, progress_bar
from oneword.storage.terminal import print_json, say


def retry(
    uris: Annotated[list[str] | None, typer.Argument(metavar="URI...", help="Only these inputs; default: all.")] = None,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Of which collection.")] = "default",
    kind: Annotated[list[str] | None, typer.Option(help="Only reasons of this kind; again for more.")] = None,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let URLs lead into private networks, too.")
    ] = False,
    roots: Annotated[
        list[str] | None,
        typer.Option("--root", metavar="ROOT", help="Read nothing outside this folder or URI prefix; again for more."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read quarantined inputs again from their sources, and index those that can be."""
    from rich.console import Console

    from oneword.engine.config import EngineConfig
    from oneword.indexer.options import JobConfig
    from oneword.indexer.retrying import retry as run
    from oneword.indexer.stopping import stopping

    console = Console(stderr=True)
    logging_to(console)
    with stopping() as stop, progress_bar(console) as bar:
        outcome = run(
            collection,
            db=db,
            uris=uris or (),
            kinds=kind or (),
            model=EngineConfig(device=device),
            config=JobConfig(allow_private=allow_private, roots=tuple(roots or ())),
            progress=bar.following(bar.add_task("trying again", total=None)),
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
