"""`oneword jobs`: what was indexed when, and how it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oneword.storage.terminal import Db, Json, print_json, print_table, say

if TYPE_CHECKING:
    from oneword.storage.journal import JobRecord


def jobs(
    db: Db = ".oneword",
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="Only jobs of this collection.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    json: Json = False,
) -> None:
    """List the jobs of a store: when they began, what they did and how they ended."""
    from oneword.storage import Store

    store = Store(db)
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


def _seconds(job: JobRecord) -> float:
    """How long it took; so far, if it runs; as far as was heard of it, if it was killed."""
    until = job.ended or (datetime.now(UTC) if job.state == "running" else job.updated)
    return round((until - job.started).total_seconds(), 3)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _whereabouts(job: JobRecord) -> str:
    if job.ended is not None:
        return ""
    return f"process {job.pid} on {job.host}, last heard of {job.updated.astimezone():%Y-%m-%d %H:%M:%S}"
