"""Starts indexing jobs for a service, each in a process of its own, and reports how they are.

`oneword serve` passes `Supervisor` to the service, which knows it as `oneword.query.jobs.Jobs`.
"""

import builtins
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, get_type_hints

from oneword.engine.catalog import SHIPPED
from oneword.engine.roots import Roots
from oneword.engine.views import BUILT_IN
from oneword.indexer.errors import BadOption
from oneword.indexer.job_process import JobProcess
from oneword.indexer.options import JobConfig, SourceOptions, arguments, declared
from oneword.indexer.report import COUNTS
from oneword.indexer.sources.place import printable
from oneword.storage import JobNotFound, JobRecord, Store
from oneword.storage.errors import BadJob, BadName, NotCancellable, TooManyJobs
from oneword.storage.journal import is_id, new_id
from oneword.storage.process import Process
from oneword.storage.store import NAME

REMEMBERED = 200
"""Ended jobs of this process whose exit codes and messages are kept; the journal has the rest."""

MAX_PATHS = 1_000
MAX_CHARACTERS = 100_000
"""In all paths and options together: Linux takes 131,072 bytes in one argument, and two million in all."""

MODELS = SHIPPED | {"e5-v"}
"""Names of models that are never a folder's, whatever is in the working folder (engine.models.load)."""


@dataclass(kw_only=True)
class StartedJob:
    """A job that this process started. dry_run: it is never in the journal."""

    collection: str
    dry_run: bool
    process: JobProcess
    started: datetime


def _job_options() -> type:
    """A dataclass with those options that a REST job may set."""
    return make_dataclass(
        "JobOptions",
        [
            (
                name,
                one.metadata.get("json") or get_type_hints(kind)[one.name],
                # Without a default where its JSON type is another one, so that it is left out by default.
                field(default=None if "json" in one.metadata else one.default, metadata=one.metadata),
            )
            for kind in (SourceOptions, JobConfig)
            for name, one in declared(kind, remote=True).items()
        ],
        frozen=True,
        kw_only=True,
    )


class Supervisor:
    """Runs jobs. Safe from any number of threads; its methods block, mostly for the journal.

    Jobs continue when the service is killed, and are found again in the journal.

    Args:
        db: a folder, or an object-store URI.
        roots: folders and URI prefixes that jobs may read from, at least one; see `oneword.engine.roots`.
        models: names that a job may ask for besides "auto"; None: those that come with the engine.
        most: jobs at a time.
        grace: seconds between asking a job to end and killing it.

    Raises:
        BadRoot: a root is none.
        BadJob: there are no roots.
    """

    options: ClassVar[type] = _job_options()

    def __init__(
        self,
        db: str,
        roots: Sequence[str],
        *,
        models: frozenset[str] | None = None,
        most: int = 2,
        grace: float = 60.0,
    ) -> None:
        if not roots:
            raise BadJob("no roots are given: expected at least one folder or URI prefix that jobs may read from")
        self._db, self._roots, self._models = db, Roots.of(roots), models
        self._most, self._grace = most, grace
        self._journal = Store(db).journal()
        self._mutex = threading.Lock()
        self._own: dict[str, StartedJob] = {}
        self._asked: set[str] = set()
        self._timers: list[threading.Timer] = []
        self._closed = False

    def start(
        self,
        collection: str,
        paths: Sequence[str],
        *,
        model: str | None = None,
        view: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> JobRecord:
        """Starts a job.

        Args:
            model: None is "auto": the collection's own. view: None is the collection's own.
            options: fields of `Supervisor.options`.

        Raises:
            BadName, BadJob: the job cannot be run, or is not allowed.
            TooManyJobs: others run.
            OSError: the system cannot start another process.
        """
        given = dict(options or {})
        line = self._command_line(collection, paths, model, view, given)
        elsewhere = self._busy_elsewhere(collection)
        with self._mutex:
            if self._closed:
                raise TooManyJobs("the service is ending: start the job once it is back")
            running = {job_id: one for job_id, one in self._own.items() if one.process.code is None}
            mine = next((name for name, one in running.items() if one.collection == collection), None)
            if busy := mine or elsewhere:
                raise TooManyJobs(
                    f"job {busy} of collection {collection!r} runs: one at a time; wait for it, or cancel it",
                    collection,
                )
            if len(running) >= self._most:
                raise TooManyJobs(f"{len(running)} jobs run, expected at most {self._most}; wait for one, or cancel it")
            job_id = new_id()
            self._own[job_id] = own = StartedJob(
                collection=collection,
                dry_run=bool(given.get("dry_run")),
                process=JobProcess(job_id, line),
                started=datetime.now(UTC),
            )
            ended = [name for name, one in self._own.items() if one.process.code is not None]
            for name in ended[: max(0, len(ended) - REMEMBERED)]:
                del self._own[name]
        return _status_of_process(job_id, own, None)

    def get(self, job_id: str) -> JobRecord:
        """How a job is. Raises JobNotFound, StoreUnavailable."""
        with self._mutex:
            own = self._own.get(job_id)
        code = None if own is None else own.process.code  # before the journal, which is the newer then
        try:
            if not is_id(job_id):
                raise JobNotFound(job_id, self._db)
            return _status_of_record(self._journal.get(job_id), own, code)
        except JobNotFound:
            if own is None:
                raise
            return _status_of_process(job_id, own, code)

    def list(self, limit: int = 20, collection: str | None = None) -> builtins.list[JobRecord]:
        """The newest jobs of the store, by any process; the newest first. Raises StoreUnavailable."""
        with self._mutex:
            own = dict(self._own)
        codes = {job_id: one.process.code for job_id, one in own.items()}
        found = {
            one.id: _status_of_record(one, own.get(one.id), codes.get(one.id))
            for one in self._journal.list(limit, collection)
        }
        oldest = min(found) if len(found) == limit else ""
        for job_id, one in own.items():
            if job_id not in found and job_id > oldest and collection in (None, one.collection):
                found[job_id] = _status_of_process(job_id, one, codes[job_id])
        return [found[job_id] for job_id in sorted(found, reverse=True)[:limit]]

    def cancel(self, job_id: str) -> JobRecord:
        """Asks a job to commit what it has and to end; after `grace` seconds it is killed. Ended jobs stay as they are.

        Raises:
            JobNotFound
            NotCancellable: it runs on another host, or no service started it.
        """
        with self._mutex:
            own = self._own.get(job_id)
        if own is not None:
            if own.process.code is None and self._first(job_id):
                own.process.end()
                self._after_grace(own.process.kill)
            return self.get(job_id)
        status = self.get(job_id)
        if status.state == "running":
            self._cancel_other(job_id)
        return self.get(job_id)

    def close(self, timeout: float = 30.0) -> None:
        """Asks all jobs of this process to end, waits `timeout` seconds for them, and kills the others."""
        with self._mutex:
            self._closed = True
            processes = [one.process for one in self._own.values()]
        for process in processes:
            process.end()
        until = time.monotonic() + timeout
        for process in processes:
            if not process.wait(max(0.0, until - time.monotonic())):
                process.kill()
        for process in processes:
            process.wait()
        with self._mutex:
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()

    def _command_line(
        self, collection: str, paths: Sequence[str], model: str | None, view: str | None, options: Mapping[str, Any]
    ) -> builtins.list[str]:
        """The arguments of `oneword index`. Raises BadName, or BadJob for what no job may ask."""
        if not NAME.fullmatch(collection):
            raise BadName(collection)
        if not 1 <= len(paths) <= MAX_PATHS:
            raise BadJob(f"paths: there are {len(paths):,}, expected 1 to {MAX_PATHS:,}")
        try:
            given = arguments(options)
        except BadOption as error:
            raise BadJob(str(error)) from error
        texts = [*paths, model or "", view or "", *given]
        if bad := next((text for text in texts if "\0" in text or printable(text) != text), None):
            raise BadJob(f"{bad!a} holds a character that no command line can: leave it out")
        if (length := sum(map(len, texts))) > MAX_CHARACTERS:
            raise BadJob(f"paths and options have {length:,} characters, expected at most {MAX_CHARACTERS:,}")
        self._check_model(model)
        if view is not None and view not in BUILT_IN:
            raise BadJob(f"view {view!r}: expected one of {', '.join(BUILT_IN)}; or leave it out")
        for path in paths:
            if not path or not self._roots.allow_given(path):
                raise BadJob(
                    f"path {path!r} is not where jobs may read from; name one in a folder or at a URI that the "
                    "service's operator allowed (oneword serve --job-root)"
                )
        return [
            *(f"--root={one}" for one in self._roots.texts),
            f"--db={self._db}",
            f"--collection={collection}",
            f"--model={model or 'auto'}",
            *([] if view is None else [f"--view={view}"]),
            *(["--sync"] if options.get("delete_missing") else []),
            *given,
            "--",
            *paths,
        ]

    def _check_model(self, model: str | None) -> None:
        allowed = MODELS if self._models is None else self._models
        # A name of no other kind is a folder's where there is such a folder.
        if model is not None and model != "auto" and model not in allowed:
            named = ", ".join(
                ["auto", *sorted(one for one in allowed if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", one))]
            )
            raise BadJob(f"model {model!r} is none that jobs may use: expected one of {named}")

    def _busy_elsewhere(self, collection: str) -> str | None:
        """The job of a collection that another process of this host runs."""
        for one in self._journal.list(20, collection):
            if one.state == "running" and one.id not in self._own and self._journal.process(one.id).here:
                return one.id
        return None

    def _cancel_other(self, job_id: str) -> None:
        """Cancels a job that an earlier process of the service started."""
        process, command = self._journal.process(job_id), self._journal.get(job_id).command
        if process.host != Process.this().host:
            raise NotCancellable(f"job {job_id} runs on another host: cancel it there")
        if not command.startswith(f"oneword index --job-id {job_id} "):
            raise NotCancellable(f"job {job_id} was not started by the service: end it where it was started")
        if not self._first(job_id):
            return
        try:
            sent = process.send(signal.SIGTERM)
        except PermissionError as error:
            raise NotCancellable(f"job {job_id} is another user's: end it as that user") from error
        if sent:
            self._after_grace(lambda: process.send(signal.SIGKILL))  # what it has started ends with it
        elif not process.dead:
            raise NotCancellable(f"job {job_id} cannot be told from another process: end it where it was started")

    def _first(self, job_id: str) -> bool:
        """Whether this is the first request to end it: a second signal would end it at once."""
        with self._mutex:
            first = job_id not in self._asked
            self._asked.add(job_id)
            return first

    def _after_grace(self, kill: Callable[[], object]) -> None:
        timer = threading.Timer(self._grace, kill)
        timer.daemon = True
        with self._mutex:
            self._timers = [one for one in self._timers if one.is_alive()] + [timer]
        timer.start()


def _status_of_record(record: JobRecord, own: StartedJob | None, code: int | None) -> JobRecord:
    """From the journal, and from the process where this process started it."""
    status = replace(record, message=" ".join(record.message.split()))
    if own is None:
        return status
    if code is None:
        # It may be building its index, or be ending: its place is free once its process has ended.
        return replace(status, state="running", ended=None)
    if status.state in ("running", "killed"):
        last = _status_of_process(status.id, own, code)
        return replace(
            status, state=last.state, message=last.message, ended=last.ended, counts=last.counts or status.counts
        )
    return status


def _status_of_process(job_id: str, own: StartedJob, code: int | None) -> JobRecord:
    """From the process alone, where the journal has no entry, or no end of it."""
    process = own.process
    status = JobRecord(
        id=job_id,
        collection=own.collection,
        command="",
        state="running" if own.dry_run else "starting",
        started=own.started,
        updated=datetime.now(UTC),
        ended=None,
        host=Process.this().host,
        pid=process.pid,
        counts={},
        message="",
    )
    if code is None:
        return status
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
