"""`oneword versions`, `tag`, `restore` and `compact`."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from oneword.storage.terminal import Db, Json, Yes, confirm, print_json, print_table, say, size

if TYPE_CHECKING:
    from oneword.storage import DamagedCollection, Store

Collection = Annotated[str, typer.Argument(metavar="NAME", help="The collection.")]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def versions(collection: Collection = "default", db: Db = ".oneword", json: Json = False) -> None:
    """List the versions of a collection that are still kept, with their tags."""
    from oneword.storage import DamagedCollection, Store

    store = Store(db)
    try:
        found = store.open(collection).versions()
    except DamagedCollection as error:
        _print_states(store, error, json)
        return
    if json:
        print_json({"db": store.uri, "collection": collection, "versions": [vars(one) for one in found]})
        return
    print_table(
        ["version", "made", "items", "tags"],
        [
            (str(one.version), f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}", f"{one.items:,}", ", ".join(one.tags))
            for one in found
        ],
    )


def _print_states(store: Store, error: DamagedCollection, json: bool) -> None:
    """Of a collection whose newest version is damaged, which are whole."""
    states = store.states(error.name)
    if json:
        versions = [{"version": version, "damaged": not whole} for version, whole in states.items()]
        print_json({"db": store.uri, "collection": error.name, "damaged": str(error), "versions": versions})
        return
    print_table(["version", "state"], [(str(one), "whole" if whole else "damaged") for one, whole in states.items()])
    say(str(error), err=True)


def tag(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag.")],
    version: Annotated[int | None, typer.Option(help="The version to tag; the newest, if none is given.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Take the tag away.")] = False,
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Tag a version of a collection, so that no cleanup removes it and it can be restored by name."""
    from oneword.storage import Store

    if delete and version is not None:
        raise typer.BadParameter("--delete takes no --version: a tag is of one version")
    target = Store(db).open(collection)
    if delete:
        target.untag(tag)
    else:
        version = target.tag(tag, version)
    if json:
        print_json({"collection": collection, "tag": tag, "version": version, "deleted": delete})
    else:
        done = "Removed tag" if delete else f"Version {version} is tagged"
        say(f"{done} {tag!r} of {collection!r}." if delete else f"{done} {tag!r} in {collection!r}.")


def restore(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    version: Annotated[str, typer.Argument(metavar="TAG_OR_VERSION", help="A tag, or a version's number.")],
    db: Db = ".oneword",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Go back to an older version: it is made the newest one. Nothing is removed, so this can be undone likewise."""
    from oneword.storage import DamagedCollection, Store

    store = Store(db)
    try:
        target = store.open(collection)
    except DamagedCollection as error:
        _recover(store, error, version, yes=yes, json=json)
        return
    with target.writing():
        before = target.version
        confirm(
            f"Make {collection!r}, now version {before} with {target.count():,} items, what it was at {version}?",
            yes,
            "every search will see the older version",
        )
        made = target.restore(version)
        items = target.count()
    if json:
        print_json({"collection": collection, "restored": version, "before": before, "version": made, "items": items})
    else:
        say(
            f"Restored {version} of {collection!r} as version {made}, with {items:,} items. "
            f"To go back: oneword restore {collection} {before}"
        )


def _recover(store: Store, error: DamagedCollection, version: str, *, yes: bool, json: bool) -> None:
    """Goes back to a version that is whole, where the newest one is not."""
    if not version.isdecimal():
        raise typer.BadParameter(f"{version!r}: of a damaged collection name a version by its number ({error})")
    confirm(f"Set aside what is damaged of {error.name!r}, and go back to version {version}?", yes, str(error))
    made = store.recover(error.name, int(version))
    items = store.open(error.name).count()
    if json:
        recovered = {"collection": error.name, "restored": version, "before": error.newest, "version": made}
        print_json({**recovered, "items": items})
    else:
        say(f"Collection {error.name!r} is at version {made} again, with {items:,} items; the rest is set aside.")


def compact(
    collection: Collection = "default",
    db: Db = ".oneword",
    older_than: Annotated[
        str, typer.Option(help="Remove versions older than this: 90s, 30m, 1h, 7d, 2w. Tagged ones stay.")
    ] = "1h",
    json: Json = False,
) -> None:
    """Merge the files of many small commits, and remove old versions. Readers of a removed version fail."""
    from oneword.storage import Store

    age = _duration(older_than)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*removes every version")  # it was asked for
        done = Store(db).open(collection).compact(age)
    if json:
        print_json({"collection": collection, **vars(done)})
        return
    files = "" if done.files_before is None else f"; files: {done.files_before:,} before, {done.files_after:,} after"
    sizes = "" if done.bytes_before is None else f" ({size(done.bytes_before)}, {size(done.bytes_after)})"
    say(f"{collection!r}: versions: {done.versions_removed:,} removed, {done.versions_kept:,} kept{files}{sizes}.")
    if done.versions_kept > 1 and not done.versions_removed:
        say(f"Versions of the last {older_than} stay, and their files with them: --older-than 0s removes them.")


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no age: expected a number and s, m, h, d or w, as in 1h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
