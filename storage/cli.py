"""Commands on collections: list, info, build, verify, delete, duplicates. `oneword.cli` registers them."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from oneword import storage
from oneword.storage.terminal import (
    Db,
    Index,
    Json,
    Yes,
    confirm,
    minute,
    place,
    print_json,
    print_table,
    report,
    say,
    size,
)

Name = Annotated[str, typer.Option("--collection", "-c", help="The collection.")]
Named = Annotated[str, typer.Argument(help="The collection.")]

SHOWN = 10  # quarantine entries in a table; JSON has all

collections_app = typer.Typer(help="List the collections of a store; make, drop, rename and copy them.")


@collections_app.callback(invoke_without_command=True)
def collections(context: typer.Context, db: Db = ".oneword", json: Json = False) -> None:
    """List the collections of a store, or make, drop, rename and copy them."""
    if context.invoked_subcommand is None:
        _list(db, json)
        return
    source = context.get_parameter_source("db")
    if json or (source is not None and source.name == "COMMANDLINE"):
        command = context.invoked_subcommand
        raise typer.BadParameter(f"write options after the command: oneword collections {command} ... --db DB --json")


def _list(db: str, json: bool) -> None:
    store = storage.Store(db)
    infos, damaged = [], {}
    for name in store.collections():
        try:
            infos.append(store.open(name).info())
        except (storage.DamagedCollection, storage.StoreUnavailable) as error:  # one must not hide the others
            damaged[name] = str(error)
    if json:
        listed = [vars(info) for info in infos]
        print_json({"db": store.uri, "collections": listed, **({"damaged": damaged} if damaged else {})})
        return
    for message in damaged.values():
        say(f"Damaged: {message}", err=True)
    if not infos and not damaged:
        say(f"No collections in {store.uri}.")
        return
    rows = [
        (
            one.name,
            f"{one.items:,}",
            one.model,
            one.view,
            size(one.bytes_on_disk),
            minute(one.updated),
        )
        for one in infos
    ]
    print_table(["collection", "items", "model", "view", "size", "updated"], rows)


@collections_app.command()
def drop(name: Named, db: Db = ".oneword", yes: Yes = False, json: Json = False) -> None:
    """Drop a collection, with its quarantine, its versions and its ANN index."""
    store = storage.Store(db)
    try:
        items: int | None = store.open(name).count()
    except storage.DamagedCollection:
        items = None
    what = "which is damaged" if items is None else f"with its {items:,} items"
    confirm(f"Drop collection {name!r} in {store.uri}, {what}?", yes)
    store.drop(name)
    report({"collection": name, "dropped": True, "items": items}, f"Dropped {name!r}, {what}.", json)


@collections_app.command()
def rename(
    old: Named,
    new: Annotated[str, typer.Argument(help="Its new name.")],
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Give a collection another name."""
    items = storage.Store(db).rename(old, new).count()
    text = f"Collection {old!r} is called {new!r} now, with its {items:,} items."
    report({"collection": new, "renamed_from": old, "items": items}, text, json)


@collections_app.command()
def copy(
    old: Named,
    new: Annotated[str, typer.Argument(help="The copy's name.")],
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Copy a collection as it is now, with its quarantine; versions, tags and indexes are not copied."""
    items = storage.Store(db).copy(old, new).count()
    text = f"Copied the {items:,} items of {old!r} to {new!r}."
    report({"collection": new, "copied_from": old, "items": items}, text, json)


def info(collection: Named = "default", db: Db = ".oneword", json: Json = False) -> None:
    """Show a collection: its items, its space, its metadata, and what could not be indexed."""
    store = storage.Store(db)
    known = store.open(collection).info()
    refused = store.quarantine(collection).list()
    if json:
        print_json({"db": store.uri, **vars(known), "quarantine": [vars(entry) for entry in refused]})
        return
    modalities = ", ".join(f"{count:,} {name}" for name, count in known.by_modality.items())
    keys = [f"{key} ({kind})" for key, kind in known.metadata_keys.items()]
    facts = {
        "collection": known.name,
        "store": store.uri,
        "items": f"{known.items:,}" + (f" ({modalities})" if modalities else ""),
        "model": known.model,
        "view": known.view,
        "dimension": str(known.dimension),
        "fingerprint": known.space["fingerprint"],
        "revision": str(known.space.get("revision", "")),
        "made with": ", ".join(f"{name} {number}" for name, number in known.space.get("made_with", {}).items()) or "?",
        "metadata": ", ".join(keys) or "none",
        "size": size(known.bytes_on_disk),
        "version": str(known.version),
        "ANN index": _index(known),
        "created": minute(known.created),
        "updated": minute(known.updated),
        "quarantined": f"{known.quarantined:,}",
    }
    print_table([], list(facts.items()))
    if refused:
        rows = [(entry.uri, entry.reason, str(entry.tries), minute(entry.last_tried)) for entry in refused[:SHOWN]]
        print_table(["could not be indexed", "because", "tries", "last tried"], rows)
        if len(refused) > SHOWN:
            say(f"... and {len(refused) - SHOWN:,} more: see --json")


def _index(known: storage.CollectionInfo) -> str:
    about = known.index
    if about is None:
        return "none: every search compares all vectors (oneword build)"
    return f"{about['kind']}, {about['rows']:,} items of version {about['version']}, recall@10 {about['recall']:.3f}"


def build(
    context: typer.Context,
    collection: Named = "default",
    db: Db = ".oneword",
    goal: Annotated[float, typer.Option(min=0.5, max=1.0, help="Recall@10 to reach.")] = 0.99,
    index: Index = "auto",
    json: Json = False,
) -> None:
    """Build the indexes of a collection: metadata, keywords, ANN; and learn what scores mean (their confidence)."""
    target = storage.Store(db).open(collection)
    try:
        target.index_metadata()
        target.index_keywords()
    except storage.Locked as locked:  # a writer makes these itself when it is done
        say(f"Metadata and keyword indexes were left as they are: {locked}", err=True)
    try:
        about = target.build_index(goal=goal, index=index, unrelated=lambda: context.obj(db, collection))
    except storage.MissingFaiss:
        say("Metadata and keyword indexes are up to date.", err=True)
        raise
    text = f"ANN index of {about.rows:,} items: {about.kind}, recall@10 {about.recall:.3f}."
    report({"collection": collection, **asdict(about)}, text, json)


def verify(collection: Named = "default", db: Db = ".oneword", json: Json = False) -> None:
    """Compare the ANN index with the table; exit code 1 if they disagree."""
    found = storage.Store(db).open(collection).verify()
    wrong = found is not None and not found.right
    if json:
        print_json({"collection": collection, "index": None if found is None else vars(found)})
    elif found is None:
        say(f"Collection {collection!r} has no ANN index: every search compares all vectors.")
    else:
        say(
            f"{found.rows:,} items: {found.missing:,} missing, {found.extra:,} extra, {found.differing:,} differing "
            f"of those sampled, {found.stale:,} left out since the build, {found.fresh:,} newer than it; "
            f"recall@10 {found.recall:.3f} (goal {found.goal})."
        )
        for name in found.damaged:
            say(f"Damaged: {name}")
        say("The index is wrong: build it again (oneword build)." if wrong else "The index is right.")
    if wrong:
        raise typer.Exit(1)


def delete(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of items.")] = None,
    collection: Name = "default",
    db: Db = ".oneword",
    where: Annotated[str | None, typer.Option("--where", help="Delete what this filter finds.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Drop the whole collection.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete items by id or by filter, or drop a whole collection."""
    ids = ids or []
    if bool(ids) + (where is not None) + all_ != 1:
        raise typer.BadParameter("say what to delete: ids, or --where FILTER, or --all (one of the three)")
    store = storage.Store(db)
    target = store.open(collection)
    not_found = 0
    if all_:
        deleted = target.count()
        confirm(f"Drop collection {collection!r} in {store.uri} with its {deleted:,} items?", yes)
        store.drop(collection)
    elif where is not None:
        confirm(f"Delete {target.count(where):,} items of {collection!r} where {where}?", yes)
        deleted = target.delete_where(where)
    else:
        deleted = target.delete(ids)
        not_found = len(set(ids)) - deleted
    missing = f"; {not_found:,} not found" if not_found else ""
    document = {"collection": collection, "deleted": deleted, "not_found": not_found, "dropped": all_}
    report(document, f"Deleted {deleted:,} items of {collection!r}{missing}.", json)
    if not_found and not deleted:
        raise typer.Exit(1)


class By(StrEnum):
    """What near copies have in common."""

    PIXELS = "pixels"
    MEANING = "meaning"


def duplicates(
    collection: Named = "default",
    by: Annotated[By, typer.Option(help="What copies have in common: their looks or their meaning.")] = By.PIXELS,
    threshold: Annotated[
        float | None, typer.Option(min=0.5, max=1.0, help="Least correlation of pixels (0.93) or similarity (0.97).")
    ] = None,
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """List exact and near copies among the images, the best of each group first. Nothing is deleted."""
    groups = storage.Store(db).open(collection).duplicates(by.value, threshold)
    rows = [
        (
            "" if number else ("exact" if group.exact else "near"),
            "copy" if number else "keep",
            f"{one.width or '?'} x {one.height or '?'}",
            place(one.uri),
            one.id,
        )
        for group in groups
        for number, one in enumerate(group.items)
    ]
    if rows and not json:
        print_table(["copies", "", "size", "where", "id"], rows)
    document = {"collection": collection, "by": by.value, "groups": [asdict(group) for group in groups]}
    report(document, f"Groups of copies in {collection!r}: {len(groups):,}.", json)
