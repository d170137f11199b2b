"""Starts indexing jobs, each a process of its own, and tells how they are."""

import builtins
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from oneword.engine.roots import Roots
from oneword.query.errors import BadJob, NotCancellable, TooManyJobs
from oneword.query.server.jobs.process import JobProcess
from oneword.query.server.jobs.request import JobRequest
from oneword.query.server.jobs.status import JobStatus, StartedJob, told, untold
from oneword.storage import JobNotFound, Store
from oneword.storage.journal import is_id, new_id
from oneword.storage.process import Process

REMEMBERED = 200
"""Jobs of this process that have ended and are still known by more than the journal says."""


class Supervisor:
    """Runs jobs. Safe from any number of threads; its methods block, mostly for the journal.

    Jobs go on when the service is killed; they are found again in the journal.

    Args:
        db: a folder, or an object-store URI.
        roots: folders and URI prefixes that jobs may read from, at least one; see `oneword.engine.roots`.
        models: names that a request may give besides "auto"; None: those that come with the engine.
        most: jobs at a time.
        grace: seconds between asking a job to end and ending it.

    Raises:
        BadRoot: a root is none.
        BadJob: there are no roots.
    """

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
        self._told: set[str] = set()
        self._timers: list[threading.Timer] = []
        self._closed = False

    def start(self, request: JobRequest) -> JobStatus:
        """Starts a job.

        Raises:
            BadName, BadJob: what is asked for cannot be, or may not.
            TooManyJobs: others run.
            OSError: the system starts no process more.
        """
        request.check(self._roots, self._models)
        elsewhere = self._busy_elsewhere(request.collection)
        with self._mutex:
            if self._closed:
                raise TooManyJobs("the service is ending: start the job once it is back")
            running = {job_id: one for job_id, one in self._own.items() if one.process.code is None}
            mine = next((name for name, one in running.items() if one.request.collection == request.collection), None)
            if busy := mine or elsewhere:
                raise TooManyJobs(
                    f"job {busy} of collection {request.collection!r} runs: one at a time; wait for it, or cancel it",
                    request.collection,
                )
            if len(running) >= self._most:
                raise TooManyJobs(f"{len(running)} jobs run, expected at most {self._most}; wait for one, or cancel it")
            job_id = new_id()
            process = JobProcess(job_id, self._arguments(request))
            self._own[job_id] = own = StartedJob(request=request, process=process, started=datetime.now(UTC))
            ended = [name for name, one in self._own.items() if one.process.code is not None]
            for name in ended[: max(0, len(ended) - REMEMBERED)]:
                del self._own[name]
        return untold(job_id, own, None)

    def get(self, job_id: str) -> JobStatus:
        """How a job is. Raises JobNotFound, StoreUnavailable."""
        with self._mutex:
            own = self._own.get(job_id)
        code = None if own is None else own.process.code  # before the journal, which is the newer then
        try:
            if not is_id(job_id):
                raise JobNotFound(job_id, self._db)
            return told(self._journal.get(job_id), own, code)
        except JobNotFound:
            if own is None:
                raise
            return untold(job_id, own, code)

    def list(self, limit: int = 20, collection: str | None = None) -> builtins.list[JobStatus]:
        """The newest jobs of the store, whoever started them; the newest first. Raises StoreUnavailable."""
        with self._mutex:
            own = dict(self._own)
        codes = {job_id: one.process.code for job_id, one in own.items()}
        found = {one.id: told(one, own.get(one.id), codes.get(one.id)) for one in self._journal.list(limit, collection)}
        oldest = min(found) if len(found) == limit else ""
        for job_id, one in own.items():
            if job_id not in found and job_id > oldest and collection in (None, one.request.collection):
                found[job_id] = untold(job_id, one, codes[job_id])
        return [found[job_id] for job_id in sorted(found, reverse=True)[:limit]]

    def cancel(self, job_id: str) -> JobStatus:
        """Asks a job to commit what it has and to end; after the grace it is ended. One that has ended is left alone.

        Raises:
            JobNotFound
            NotCancellable: it is another host's, or not one that a service started.
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
        """Asks all jobs of this process to end, waits for them so many seconds, and ends them."""
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

    def _arguments(self, request: JobRequest) -> builtins.list[str]:
        return [
            *(f"--root={one}" for one in self._roots.texts),
            f"--db={self._db}",
            f"--collection={request.collection}",
            f"--model={request.model or 'auto'}",
            *([] if request.view is None else [f"--view={request.view}"]),
            *request.options.arguments(),
            "--",
            *request.paths,
        ]

    def _busy_elsewhere(self, collection: str) -> str | None:
        """The job of a collection that another process of this host is at."""
        for one in self._journal.list(20, collection):
            if one.state == "running" and one.id not in self._own and self._journal.process(one.id).here:
                return one.id
        return None

    def _cancel_other(self, job_id: str) -> None:
        """Of a job that an earlier process of the service started."""
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
        """Whether it is asked to end for the first time: a second signal would end it at once."""
        with self._mutex:
            first = job_id not in self._told
            self._told.add(job_id)
            return first

    def _after_grace(self, kill: Any) -> None:
        timer = threading.Timer(self._grace, kill)
        timer.daemon = True
        with self._mutex:
            self._timers = [one for one in self._timers if one.is_alive()] + [timer]
        timer.start()
