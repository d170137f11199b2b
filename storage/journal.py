"""The journal of jobs in a store: one row per job, written when it starts, while it runs, and when it ends."""

from __future__ import annotations

import builtins
import json
import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from oneword.storage.database import Database
from oneword.storage.errors import JobNotFound, StorageError, StoreUnavailable
from oneword.storage.lock import WriterLock
from oneword.storage.process import Process
from oneword.storage.sql import escaped, one_of, quoted
from oneword.storage.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

Done = TypeVar("Done")

State: TypeAlias = Literal["starting", "running", "done", "interrupted", "failed", "killed"]
End: TypeAlias = Literal["done", "interrupted", "failed"]

TABLE = "oneword.jobs"  # a collection's name has no dot
LOCK_TIMEOUT = 10.0  # seconds; a row takes milliseconds
TRIES = 6  # at a commit that conflicts with another host's, 0.05 to 1.6 seconds apart

COMMITS = 50  # between compactions, which also remove old versions and jobs
SAFE_AGE = timedelta(minutes=5)  # the longest that an older version may be read: a list takes milliseconds
MOST_JOBS = 10_000
FORGOTTEN = timedelta(days=30)  # since the last report of a "running" job, after which it may be removed

MOST_TEXT = 2_000  # characters of a command or a message


@dataclass(frozen=True, kw_only=True)
class Job:
    """An indexing job, as a service reports it.

    id: sorts by start time.
    state: "starting": its process has not reported yet, and it is in no journal. "interrupted": it was cancelled, and
        what it had done is kept. "killed": it ended without a report, which only its own host can know; elsewhere it
        is "running".
    updated: its last report; ended: None until it reports its end. All UTC.
    counts: inputs by outcome, rows written, items deleted. message: mostly why it failed.
    """

    id: str
    collection: str
    state: State
    started: datetime
    updated: datetime
    ended: datetime | None = None
    counts: Mapping[str, Any]
    message: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state not in ("starting", "running")


@dataclass(frozen=True, kw_only=True)
class JobRecord(Job):
    """A job with its process. command: as typed."""

    command: str
    host: str
    pid: int


class Journal:
    """The jobs of one store; the table is created with the first. Any number of processes may write it at once.

    (But if the first jobs of a store in an object store start on two hosts in the same instant, LanceDB may lose one.)
    A job keeps the name that its collection had. Every method raises StorageError if the store fails; whether a job
    goes on without its journal is for the job to decide.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = WriterLock(database.location.lock_file(TABLE), TABLE)

    def start(self, *, collection: str, command: str, id: str | None = None) -> str:  # noqa: A002 (as JobRecord)
        """Record that this process starts a job. Returns the job's id.

        id: from `new_id`; None: a new one.

        Raises:
            StorageError: it is malformed, or taken.
        """
        now, process = datetime.now(UTC), Process.this()
        if id is not None and not is_id(id):
            raise StorageError(f"job id {id!r}: expected one as `new_id` makes them; leave the id out")
        row = {
            "id": id or new_id(),
            "collection": escaped(collection),
            "command": _cut(command),
            "state": "running",
            "started": now,
            "updated": now,
            "ended": None,
            "host": process.host,
            "pid": process.pid,
            "born": process.born,
            "counts": "{}",
            "message": "",
        }

        def append(table: Table) -> None:
            if id is not None and _found(table, id):
                raise StorageError(f"job id {id!r}: there is a job of that id already; leave the id out")
            table.append(_rows([row]))

        self._write(append)
        return str(row["id"])

    def beat(self, job: str, counts: Mapping[str, Any]) -> None:
        """Record the progress of a job, in one commit: every few seconds is often enough. Raises JobNotFound."""
        self._change(job, counts)

    def finish(self, job: str, state: End, counts: Mapping[str, Any], message: str = "") -> None:
        """Record the end of a job. Raises JobNotFound."""
        self._change(job, counts, state=state, ended=datetime.now(UTC), message=_cut(message))

    def get(self, job: str) -> JobRecord:
        """One job. Raises JobNotFound."""
        return _record(self._row(job))

    def process(self, job: str) -> Process:
        """The process that runs a job, or ran it. Raises JobNotFound."""
        row = self._row(job)
        return Process(host=row["host"], pid=row["pid"], born=row["born"])

    def list(self, limit: int = 20, collection: str | None = None) -> builtins.list[JobRecord]:
        """The newest jobs, of all collections or of one; the newest first."""
        table = self._database.open(TABLE)
        if table is None:
            return []
        where = None if collection is None else one_of("collection", [escaped(collection)])
        rows = (row for batch in table.rows(_schema().names, where=where) for row in batch.to_pylist())
        return [_record(row) for row in nlargest(limit, rows, key=lambda row: row["id"])]

    def _row(self, job: str) -> Mapping[str, Any]:
        table = self._database.open(TABLE)
        rows = _found(table, job) if table is not None else []
        if not rows:
            raise JobNotFound(job, self._database.location.uri)
        return rows[0]

    def _change(self, job: str, counts: Mapping[str, Any], **fields: Any) -> None:
        reported = {"updated": fields.get("ended") or datetime.now(UTC), "counts": json.dumps(dict(counts))}

        def change(table: Table) -> None:
            rows = _found(table, job)
            if not rows:
                raise JobNotFound(job, self._database.location.uri)
            table.merge(_rows([{**rows[0], **reported, **fields}]), "id")

        self._write(change)

    def _write(self, write: Callable[[Table], None]) -> None:
        """One commit. Processes of one host take turns; a conflict with another host is retried."""
        with self._lock.hold(LOCK_TIMEOUT):
            table = _retried(self._table)
            _retried(lambda: write(table))
            if table.version() % COMMITS == 0:
                with suppress(StorageError):  # the row is written; the next time will do
                    self._tidy(table)

    def _table(self) -> Table:
        table = self._database.open(TABLE) or self._database.create(TABLE, _schema()) or self._database.open(TABLE)
        if table is None:
            raise StoreUnavailable(self._database.location.uri, "make the journal", "conflict with another process")
        return table

    def _tidy(self, table: Table) -> None:
        ids = sorted(name for batch in table.rows(["id"]) for name in batch["id"].to_pylist())
        if len(ids) > MOST_JOBS:
            silent = f"updated < TIMESTAMP {quoted(f'{datetime.now(UTC) - FORGOTTEN:%Y-%m-%dT%H:%M:%SZ}')}"
            table.delete(f"id < {quoted(ids[-MOST_JOBS])} AND (state != 'running' OR {silent})")
        table.optimize(SAFE_AGE)


def new_id() -> str:
    """An id for a job that starts now: ids sort by time, to the microsecond."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id from `new_id`."""
    return re.fullmatch(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{8}", text) is not None


def _found(table: Table, job: str) -> builtins.list[dict[str, Any]]:
    return [row for batch in table.rows(_schema().names, where=one_of("id", [job])) for row in batch.to_pylist()]


def _retried(write: Callable[[], Done]) -> Done:
    for tried in range(TRIES):
        try:
            return write()
        except StoreUnavailable as error:
            if tried == TRIES - 1 or not any(word in str(error).lower() for word in ("conflict", "concurrent")):
                raise
            time.sleep(random.uniform(0.5, 1.0) * 0.1 * 2**tried)
    raise AssertionError("unreachable")


def _record(row: Mapping[str, Any]) -> JobRecord:
    fields = {name: value for name, value in row.items() if name != "born"}
    for name in ("started", "updated", "ended"):
        fields[name] = None if row[name] is None else row[name].astimezone(UTC)
    if row["state"] == "running" and Process(host=row["host"], pid=row["pid"], born=row["born"]).dead:
        fields["state"] = "killed"
    return JobRecord(**{**fields, "counts": json.loads(row["counts"])})


def _cut(text: str) -> str:
    text = escaped(text)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 4] + " ..."


def _rows(rows: builtins.list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=_schema())


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    columns = dict.fromkeys(("id", "collection", "command", "state"), text)
    columns |= dict.fromkeys(("started", "updated", "ended"), time)
    columns |= {"host": text, "pid": pa.int64(), "born": text, "counts": text, "message": text}
    return pa.schema([pa.field(name, kind, nullable=name == "ended") for name, kind in columns.items()])
