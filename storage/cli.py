"""The store's commands: collections, info, delete. `oneword.cli` names them; each is one function here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from oneword.storage.terminal import Db, Json, say, size
from oneword.storage.terminal import confirm as _confirm
from oneword.storage.terminal import print_json as _print_json
from oneword.storage.terminal import print_table as _print_table

if TYPE_CHECKING:
    from oneword.storage.info import CollectionInfo

Name = Annotated[str, typer.Option("--collection", "-c", help="The collection.")]

SHOWN = 10  # quarantine entries in a table; JSON has all


def collections(db: Db = ".oneword", json: Json = False) -> None:
    """List the collections of a store."""
    from oneword.storage import DamagedCollection, Store, StoreUnavailable

    store = Store(db)
    infos, damaged = [], {}
    for name in store.collections():
        try:
            infos.append(store.open(name).info())
        except (DamagedCollection, StoreUnavailable) as error:  # one must not hide the others
            damaged[name] = str(error)
    if json:
        listed = [_plain(info) for info in infos]
        _print_json({"db": store.uri, "collections": listed, **({"damaged": damaged} if damaged else {})})
        return
    for told in damaged.values():
        say(f"Damaged: {told}", err=True)
    if not infos and not damaged:
        say(f"No collections in {store.uri}.")
        return
    rows = [
        (
            info.name,
            f"{info.items:,}",
            info.space["model"],
            info.space["view"],
            _size(info),
            _minute(info.updated),
        )
        for info in infos
    ]
    _print_table(["collection", "items", "model", "view", "size", "updated"], rows)


def info(
    collection: Annotated[str, typer.Argument(help="The collection.")] = "default",
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Show a collection: its items, its space, its metadata, and what could not be indexed."""
    from oneword.storage import Store

    store = Store(db)
    known = store.open(collection).info()
    refused = store.quarantine(collection).list()
    if json:
        _print_json({"db": store.uri, **_plain(known), "quarantine": [vars(entry) for entry in refused]})
        return
    modalities = ", ".join(f"{count:,} {name}" for name, count in known.by_modality.items())
    _print_table(
        [],
        [
            ("collection", known.name),
            ("store", store.uri),
            ("items", f"{known.items:,}" + (f" ({modalities})" if modalities else "")),
            ("model", known.space["model"]),
            ("view", known.space["view"]),
            ("dimension", str(known.dimension)),
            ("fingerprint", known.space["fingerprint"]),
            (
                "metadata",
                ", ".join(f"{key} ({kind})" for key, kind in known.metadata_keys.items() if key[0] != "_") or "none",
            ),
            ("size", _size(known)),
            ("version", str(known.version)),
            ("serving index", _serving(known)),
            ("created", _minute(known.created)),
            ("updated", _minute(known.updated)),
            ("quarantined", f"{known.quarantined:,}"),
        ],
    )
    if refused:
        rows = [(entry.uri, entry.reason, str(entry.tries), _minute(entry.last_tried)) for entry in refused[:SHOWN]]
        _print_table(["could not be indexed", "because", "tries", "last tried"], rows)
        if len(refused) > SHOWN:
            say(f"... and {len(refused) - SHOWN:,} more: see --json")


def build(
    collection: Annotated[str, typer.Argument(help="The collection.")] = "default",
    db: Db = ".oneword",
    goal: Annotated[float, typer.Option(min=0.5, max=1.0, help="Share of the ten nearest to be found.")] = 0.99,
    json: Json = False,
) -> None:
    """Build the indexes of a collection: of metadata, of words, and the serving index for speed."""
    from oneword.storage import Locked, Store

    target = Store(db).open(collection)
    try:
        target.index_metadata()
        target.index_keywords()
    except Locked as locked:  # a writer makes these itself when it is done
        say(f"Indexes of metadata and words are left as they are: {locked}", err=True)
    about = target.build_index(goal=goal)
    if json:
        from dataclasses import asdict

        _print_json({"collection": collection, **asdict(about)})
        return
    say(f"Serving index of {about.rows:,} items: {about.kind}, recall@10 {about.recall:.3f}.")


def verify(
    collection: Annotated[str, typer.Argument(help="The collection.")] = "default",
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Compare the serving index with the table; exit code 1 if they disagree."""
    from oneword.storage import Store

    found = Store(db).open(collection).verify()
    wrong = found is not None and not found.right
    if json:
        _print_json(
            {"collection": collection, "index": None if found is None else {**vars(found), "right": found.right}}
        )
    elif found is None:
        say(f"Collection {collection!r} has no serving index: every search compares all vectors.")
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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete items by id or by filter, or drop a whole collection."""
    from oneword.storage import Store

    ids = ids or []
    if bool(ids) + (where is not None) + all_ != 1:
        raise typer.BadParameter("say what to delete: ids, or --where FILTER, or --all (one of the three)")
    store = Store(db)
    target = store.open(collection)
    not_found = 0
    if all_:
        deleted = target.count()
        _confirm(f"Drop collection {collection!r} in {store.uri} with its {deleted:,} items?", yes)
        store.drop(collection)
    elif where is not None:
        _confirm(f"Delete {target.count(where):,} items of {collection!r} where {where}?", yes)
        deleted = target.delete_where(where)
    else:
        deleted = target.delete(ids)
        not_found = len(set(ids)) - deleted
    if json:
        _print_json({"collection": collection, "deleted": deleted, "not_found": not_found, "dropped": all_})
    else:
        missing = f"; {not_found:,} not found" if not_found else ""
        say(f"Deleted {deleted:,} items of {collection!r}{missing}.")
    if not_found and not deleted:
        raise typer.Exit(1)


def _plain(known: CollectionInfo) -> dict[str, Any]:
    return dict(vars(known))


def _serving(known: CollectionInfo) -> str:
    about = known.serving
    if about is None:
        return "none: every search compares all vectors (oneword build)"
    return f"{about['kind']}, {about['rows']:,} items of version {about['version']}, recall@10 {about['recall']:.3f}"


def _size(known: CollectionInfo) -> str:
    return size(known.bytes_on_disk)


def _minute(time: Any) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"
