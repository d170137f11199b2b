"""How a job is, by what the journal and its process tell."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from oneword.query.server.jobs.process import JobProcess
from oneword.query.server.jobs.request import JobRequest
from oneword.storage import JobRecord

State: TypeAlias = Literal["starting", "running", "done", "interrupted", "failed", "killed"]

COUNTS = ("inputs", "indexed", "added", "updated", "unchanged", "quarantined", "rows", "embedded", "deleted")
"""What a report counts, as the journal has it."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """How a job is. Times are UTC; ended: None while it runs, and where only silence tells of its end."""

    id: str
    collection: str
    state: State
    started: datetime
    updated: datetime
    ended: datetime | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""


@dataclass(kw_only=True)
class StartedJob:
    """A job that this process started."""

    request: JobRequest
    process: JobProcess
    started: datetime


def told(record: JobRecord, own: StartedJob | None, code: int | None) -> JobStatus:
    """As the journal says, but for what its process alone tells."""
    said = {one.name: getattr(record, one.name) for one in fields(JobStatus)}
    status = JobStatus(**{**said, "message": " ".join(record.message.split())})
    if own is None:
        return status
    if code is None:
        # It may be at its index, or be ending: its place is free once its process has ended.
        return replace(status, state="running", ended=None)
    if status.state in ("running", "killed"):
        last = untold(status.id, own, code)
        return replace(
            status, state=last.state, message=last.message, ended=last.ended, counts=last.counts or status.counts
        )
    return status


def untold(job_id: str, own: StartedJob, code: int | None) -> JobStatus:
    """As the process says, where there is nothing, or no end, in the journal; a dry run is never in it."""
    process, now = own.process, datetime.now(UTC)
    status = JobStatus(id=job_id, collection=own.request.collection, state="starting", started=own.started, updated=now)
    if code is None:
        return replace(status, state="running") if own.request.options.dry_run else status
    status = replace(status, updated=process.ended, ended=process.ended)
    if process.report is not None:
        counts = {name: process.report[name] for name in COUNTS if name in process.report}
        return replace(status, state="interrupted" if process.report.get("interrupted") else "done", counts=counts)
    if process.cancelled and code in (-signal.SIGTERM, 128 + signal.SIGTERM):
        return replace(status, state="interrupted", message="cancelled before it had begun")
    if code < 0:
        why = " after it was asked to end" if process.cancelled else ""
        return replace(status, state="killed", message=f"ended by {signal.Signals(-code).name}{why}")
    return replace(status, state="failed", message=process.message or f"ended with exit code {code}")
