"""`oneword collections`, alone and with drop, rename and copy; `create` comes from the indexer, which knows models."""

from __future__ import annotations

from typing import Annotated

import typer

from oneword.storage import cli
from oneword.storage.terminal import Db, Json, Yes, confirm, print_json, say

app = typer.Typer(help="List the collections of a store; make, drop, rename and copy them.")


@app.callback(invoke_without_command=True)
def collections(context: typer.Context, db: Db = ".oneword", json: Json = False) -> None:
    """List the collections of a store, or make, drop, rename and copy them."""
    if context.invoked_subcommand is None:
        cli.collections(db, json)
        return
    source = context.get_parameter_source("db")
    if json or (source is not None and source.name == "COMMANDLINE"):
        command = context.invoked_subcommand
        raise typer.BadParameter(f"write options after the command: oneword collections {command} ... --db DB --json")


@app.command()
def drop(
    name: Annotated[str, typer.Argument(help="The collection.")],
    db: Db = ".oneword",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Drop a collection, with its quarantine, its versions and its serving index."""
    from oneword.storage import DamagedCollection, Store

    store = Store(db)
    try:
        items: int | None = store.open(name).count()
    except DamagedCollection:
        items = None
    what = "which is damaged" if items is None else f"with its {items:,} items"
    confirm(f"Drop collection {name!r} in {store.uri}, {what}?", yes)
    store.drop(name)
    if json:
        print_json({"collection": name, "dropped": True, "items": items})
    else:
        say(f"Dropped {name!r}, {what}.")


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The collection.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Give a collection another name."""
    from oneword.storage import Store

    items = Store(db).rename(old, new).count()
    if json:
        print_json({"collection": new, "renamed_from": old, "items": items})
    else:
        say(f"Collection {old!r} is called {new!r} now, with its {items:,} items.")


@app.command()
def copy(
    old: Annotated[str, typer.Argument(help="The collection.")],
    new: Annotated[str, typer.Argument(help="The copy's name.")],
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Copy a collection as it is now, with its quarantine; versions, tags and indexes are not copied."""
    from oneword.storage import Store

    items = Store(db).copy(old, new).count()
    if json:
        print_json({"collection": new, "copied_from": old, "items": items})
    else:
        say(f"Copied the {items:,} items of {old!r} to {new!r}.")
