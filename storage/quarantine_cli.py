"""`oneword quarantine`: list and clear; `retry` comes from the indexer, which can read inputs again."""

from __future__ import annotations

from typing import Annotated

import typer

from oneword.storage.terminal import Db, Json, Yes, confirm, print_json, print_table, say

app = typer.Typer(help="The inputs that could not be indexed into a collection, and why.", no_args_is_help=True)

Collection = Annotated[str, typer.Option("--collection", "-c", help="The collection.")]

SHOWN = 20  # in a table; JSON has all


@app.command("list")
def list_(
    collection: Collection = "default",
    db: Db = ".oneword",
    kind: Annotated[str | None, typer.Option("--kind", help="Only what failed in this way, such as decode.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many, the last tried first. [default: 20; with --json: all]")
    ] = None,
    json: Json = False,
) -> None:
    """List the inputs that could not be indexed, the last tried first."""
    from heapq import nsmallest
    from itertools import chain

    from oneword.storage import Store

    store = Store(db)
    store.open(collection)
    quarantine = store.quarantine(collection)
    kinds = quarantine.kinds()
    there = sum(kinds.values()) if kind is None else kinds.get(kind, 0)
    entries = chain.from_iterable(quarantine.batches(kind=kind))  # so many as are shown are in memory, not all
    shown = nsmallest(
        limit or (there if json else SHOWN), entries, key=lambda entry: (-entry.last_tried.timestamp(), entry.uri)
    )
    if json:
        document = {"collection": collection, "kinds": kinds, "total": there, "entries": [vars(one) for one in shown]}
        print_json({"db": store.uri, **document})
        return
    if not there:
        say(f"Nothing of {collection!r} is in quarantine{f' as {kind}' if kind else ''}.")
    else:
        rows = [
            (one.uri, one.kind, one.reason, f"{one.tries:,}", f"{one.last_tried.astimezone():%Y-%m-%d %H:%M}")
            for one in shown
        ]
        print_table(["could not be indexed", "kind", "because", "tries", "last tried"], rows)
        if there > len(shown):
            say(f"... and {there - len(shown):,} more: see --limit, or --json")
    if kinds:
        say("By kind: " + ", ".join(f"{name} {count:,}" for name, count in kinds.items()))


@app.command()
def clear(
    uris: Annotated[list[str] | None, typer.Argument(help="What to forget; without any, everything.")] = None,
    collection: Collection = "default",
    db: Db = ".oneword",
    kind: Annotated[str | None, typer.Option("--kind", help="Forget only what failed in this way.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Forget inputs that could not be indexed: all, those given, or those of a kind. The next job tries them anew."""
    from oneword.storage import Store

    wanted = list(dict.fromkeys(uris or []))
    if wanted and kind is not None:
        raise typer.BadParameter("say what to forget: inputs, or --kind KIND, or neither for everything")
    store = Store(db)
    store.open(collection)
    quarantine = store.quarantine(collection)
    if wanted:
        confirm(f"Forget {len(wanted):,} inputs that could not be indexed into {collection!r}?", yes)
        cleared = quarantine.release(wanted)
    else:
        there = quarantine.count() if kind is None else quarantine.kinds().get(kind, 0)
        what = f"{there:,} inputs{'' if kind is None else f' of kind {kind}'}"
        confirm(f"Forget {what} that could not be indexed into {collection!r}?", yes)
        cleared = quarantine.clear(kind=kind)
    not_found = len(wanted) - cleared if wanted else 0
    if json:
        print_json({"collection": collection, "cleared": cleared, "not_found": not_found})
    else:
        missing = f"; {not_found:,} not found" if not_found else ""
        say(f"Cleared {cleared:,} of the quarantine of {collection!r}{missing}.")
    if not_found and not cleared:
        raise typer.Exit(1)
