"""Commands on what happened to a collection: versions, jobs and quarantine."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from itertools import chain
from typing import Annotated, Any

import typer

from oneword import storage
from oneword.storage.terminal import Db, Json, Yes, confirm, minute, print_json, print_table, report, say, size

Collection = Annotated[str, typer.Argument(metavar="NAME", help="The collection.")]
Option = Annotated[str, typer.Option("--collection", "-c", help="The collection.")]

SHOWN = 20  # quarantine entries in a table; JSON has all

quarantine_app = typer.Typer(
    help="The inputs that could not be indexed into a collection, and why.", no_args_is_help=True
)

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def versions(collection: Collection = "default", db: Db = ".oneword", json: Json = False) -> None:
    """List the versions of a collection that are kept, with their tags."""
    store = storage.Store(db)
    try:
        found = store.open(collection).versions()
    except storage.DamagedCollection as error:
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


def _print_states(store: storage.Store, error: storage.DamagedCollection, json: bool) -> None:
    """List which versions of a damaged collection can still be read."""
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
    version: Annotated[int | None, typer.Option(help="The version to tag; by default the newest.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the tag.")] = False,
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Tag a version of a collection, so that no cleanup removes it and it can be restored by name."""
    if delete and version is not None:
        raise typer.BadParameter("--delete takes no --version: a tag is of one version")
    target = storage.Store(db).open(collection)
    if delete:
        target.untag(tag)
    else:
        version = target.tag(tag, version)
    text = f"Removed tag {tag!r} of" if delete else f"Version {version} is tagged {tag!r} in"
    document = {"collection": collection, "tag": tag, "version": version, "deleted": delete}
    report(document, f"{text} {collection!r}.", json)


def restore(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    version: Annotated[str, typer.Argument(metavar="TAG_OR_VERSION", help="A tag, or a version's number.")],
    db: Db = ".oneword",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Make a copy of an older version the newest one. Nothing is removed, so this can be undone the same way."""
    store = storage.Store(db)
    try:
        target = store.open(collection)
    except storage.DamagedCollection as error:
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
    document = {"collection": collection, "restored": version, "before": before, "version": made, "items": items}
    text = f"Restored {version} of {collection!r} as version {made}, with {items:,} items. "
    report(document, f"{text}To go back: oneword restore {collection} {before}", json)


def _recover(store: storage.Store, error: storage.DamagedCollection, version: str, *, yes: bool, json: bool) -> None:
    """Go back to a readable version of a collection whose newest one is damaged."""
    if not version.isdecimal():
        raise typer.BadParameter(f"{version!r}: of a damaged collection name a version by its number ({error})")
    confirm(f"Set aside what is damaged of {error.name!r}, and go back to version {version}?", yes, str(error))
    made = store.recover(error.name, int(version))
    items = store.open(error.name).count()
    document = {"collection": error.name, "restored": version, "before": error.newest, "version": made, "items": items}
    text = f"Collection {error.name!r} is at version {made} again, with {items:,} items; the rest is set aside."
    report(document, text, json)


def compact(
    collection: Collection = "default",
    db: Db = ".oneword",
    older_than: Annotated[
        str, typer.Option(help="Remove versions older than this: 90s, 30m, 1h, 7d, 2w. Tagged ones stay.")
    ] = "1h",
    json: Json = False,
) -> None:
    """Merge the files of many small commits, and remove old versions. Readers of a removed version fail."""
    age = _duration(older_than)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*removes every version")  # it was requested
        done = storage.Store(db).open(collection).compact(age)
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
        raise typer.BadParameter(f"{text!r} is not an age: expected a number and s, m, h, d or w, as in 1h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def jobs(
    db: Db = ".oneword",
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="Only jobs of this collection.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    json: Json = False,
) -> None:
    """List the jobs of a store: when they began, what they did and how they ended."""
    store = storage.Store(db)
    found = store.journal().list(limit, collection)
    if json:
        print_json({"db": store.uri, "jobs": [{**vars(one), "seconds": _seconds(one)} for one in found]})
        return
    if not found:
        say(f"No jobs in {store.uri}{f' of {collection!r}' if collection else ''}.")
        return
    heads = ["started", "collection", "state", "inputs", "indexed", "quarantined", "seconds", "message"]
    print_table(
        heads,
        [
            (
                f"{one.started.astimezone():%Y-%m-%d %H:%M:%S}",
                one.collection,
                one.state,
                *(_count(one.counts.get(name)) for name in ("inputs", "indexed", "quarantined")),
                f"{_seconds(one):,.0f}",
                one.message or _whereabouts(one),
            )
            for one in found
        ],
    )


def _seconds(job: storage.JobRecord) -> float:
    """Seconds that it took, has taken so far, or took until its last report if it was killed."""
    until = job.ended or (datetime.now(UTC) if job.state == "running" else job.updated)
    return round((until - job.started).total_seconds(), 3)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _whereabouts(job: storage.JobRecord) -> str:
    if job.ended is not None:
        return ""
    return f"process {job.pid} on {job.host}, last heard of {job.updated.astimezone():%Y-%m-%d %H:%M:%S}"


@quarantine_app.command("list")
def list_(
    collection: Option = "default",
    db: Db = ".oneword",
    kind: Annotated[str | None, typer.Option("--kind", help="Only what failed in this way, such as decode.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many, the last tried first. [default: 20; with --json: all]")
    ] = None,
    json: Json = False,
) -> None:
    """List the inputs that could not be indexed, the last tried first."""
    store = storage.Store(db)
    store.open(collection)
    quarantine = store.quarantine(collection)
    kinds = quarantine.kinds()
    there = sum(kinds.values()) if kind is None else kinds.get(kind, 0)
    entries = chain.from_iterable(quarantine.batches(kind=kind))  # only those shown are in memory
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
        rows = [(one.uri, one.kind, one.reason, f"{one.tries:,}", minute(one.last_tried)) for one in shown]
        print_table(["could not be indexed", "kind", "because", "tries", "last tried"], rows)
        if there > len(shown):
            say(f"... and {there - len(shown):,} more: see --limit, or --json")
    if kinds:
        say("By kind: " + ", ".join(f"{name} {count:,}" for name, count in kinds.items()))


@quarantine_app.command()
def clear(
    uris: Annotated[list[str] | None, typer.Argument(help="What to forget; without any, everything.")] = None,
    collection: Option = "default",
    db: Db = ".oneword",
    kind: Annotated[str | None, typer.Option("--kind", help="Forget only what failed in this way.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Forget inputs that could not be indexed: all, those given, or those of a kind. The next job tries them again."""
    unique = list(dict.fromkeys(uris or []))
    if unique and kind is not None:
        raise typer.BadParameter("say what to forget: inputs, or --kind KIND, or neither for everything")
    store = storage.Store(db)
    store.open(collection)
    quarantine = store.quarantine(collection)
    if unique:
        confirm(f"Forget {len(unique):,} inputs that could not be indexed into {collection!r}?", yes)
        cleared = quarantine.release(unique)
    else:
        there = quarantine.count() if kind is None else quarantine.kinds().get(kind, 0)
        what = f"{there:,} inputs{'' if kind is None else f' of kind {kind}'}"
        confirm(f"Forget {what} that could not be indexed into {collection!r}?", yes)
        cleared = quarantine.clear(kind=kind)
    not_found = len(unique) - cleared if unique else 0
    missing = f"; {not_found:,} not found" if not_found else ""
    text = f"Cleared {cleared:,} of the quarantine of {collection!r}{missing}."
    report({"collection": collection, "cleared": cleared, "not_found": not_found}, text, json)
    if not_found and not cleared:
        raise typer.Exit(1)
