"""Runs a job on many machines: hands out shares of the inputs, and commits what comes back."""

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.indexer.distributed.cluster import Cluster
from oneword.indexer.distributed.faults import failed, is_lost, own_errors
from oneword.indexer.distributed.shares import Feeder, Share
from oneword.indexer.distributed.workers import Done, Worker, WorkerSettings
from oneword.indexer.job import Job
from oneword.indexer.outcome import Outcome
from oneword.indexer.write import Writer
from oneword.storage import Refused

log = logging.getLogger(__name__)

PER_WORKER = 3
"""Shares at one worker: one is embedded, one is loaded, and one waits."""

CLOSING = 10.0
"""Seconds that workers have to remove their temporary files before they are ended."""

RESTARTS = 3
"""Times that a worker is started again; and times that all are, without any result in between, before the job fails."""


def run_ray(job: Job, cluster: Cluster, encoder: EngineConfig) -> None:
    """Every entry of the job, until the end or until it is asked to stop."""
    if job.output:
        job.output.sweep()  # files of an earlier job that was killed
    driver = _Driver(job, cluster, encoder)
    with own_errors(cluster.ray):
        try:
            driver.run()
        finally:
            driver.close()


class _Driver:
    def __init__(self, job: Job, cluster: Cluster, encoder: EngineConfig) -> None:
        self._job, self._cluster, self._ray, self._encoder = job, cluster, cluster.ray, encoder
        self._workers: list[Any] = []
        self._nodes = frozenset[str]()
        self._running: dict[Any, tuple[int, Share]] = {}  # by the result's reference: the worker's number, the share
        self._waiting: deque[Share] = deque()
        self._writer = Writer(job)
        self._feeder = Feeder(job)

    def run(self) -> None:
        """Until every input is accounted for."""
        self._job.stages.enter("encode")
        heard, restarts, reading = time.monotonic(), 0, True
        while reading or self._waiting or self._running:
            self._job.tell()
            if self._job.stop.is_set():
                return
            reading = reading and self._read()
            self._hand_out()
            try:
                if self._take():
                    heard, restarts = time.monotonic(), 0
                    continue
                lost = "a node was lost, and nothing has come back since" if self._stalled(heard) else ""
            except self._ray.exceptions.RayError as error:
                if not is_lost(self._ray, error) or restarts == RESTARTS:
                    raise failed(error) from error
                restarts += 1
                lost = str(error).splitlines()[0]
            if lost:
                self._begin_again(lost)
                heard = time.monotonic()
        if self._workers:
            closing = [worker.close.remote() for worker in self._workers]
            self._ray.wait(closing, num_returns=len(closing), timeout=CLOSING)

    def close(self) -> None:
        """Ends the workers, and commits what has come back."""
        self._feeder.stop()
        self._job.stages.enter("commit")
        try:
            self._end_workers()
        finally:
            self._writer.close()

    def _read(self) -> bool:
        """Takes what the feeder has while workers have room. Returns whether more may come; raises its error."""
        room = PER_WORKER * max(1, len(self._workers)) - len(self._running) - len(self._waiting)
        while room > 0:
            try:
                one = self._feeder.queue.get(timeout=0 if self._running or self._waiting else 0.5)
            except Empty:
                return True
            if one is None:
                return False
            if isinstance(one, BaseException):
                raise one
            if isinstance(one, tuple):
                self._waiting.append(one)
                room -= 1
            else:
                self._writer.put(one)
        return True

    def _hand_out(self) -> None:
        if self._waiting and not self._workers:
            self._start_workers()
        while self._waiting and len(self._running) < PER_WORKER * len(self._workers):
            busy = Counter(number for number, _ in self._running.values())
            number = min(range(len(self._workers)), key=lambda one: busy[one])
            share = self._waiting.popleft()
            self._running[self._workers[number].work.remote(share)] = number, share

    def _take(self) -> bool:
        """Takes results; waits for one. Returns whether there was any.

        Raises:
            RayError: a share was lost, or it failed.
        """
        if not self._running:
            return False
        ready, _ = self._ray.wait(list(self._running), timeout=0.5)
        for reference in ready:
            done: Done = self._ray.get(reference)
            del self._running[reference]
            self._job.stages.add("load", done.load)
            self._job.stages.add("encode", done.encode)
            self._job.report.embedded += done.embedded
            self._job.report.reused += done.reused
            self._writer.put(by_this_clock(done.outcomes))
        return bool(ready)

    def _stalled(self, heard: float) -> bool:
        """Whether nothing has come back for long, and a node is gone."""
        waited = self._running and time.monotonic() - heard > self._cluster.config.timeout
        return bool(waited) and not self._nodes <= self._cluster.nodes()

    def _begin_again(self, reason: str) -> None:
        """Starts other workers, on the nodes that are left, with what has not come back."""
        log.warning("the workers begin again with %d shares of inputs: %s", len(self._running), reason)
        self._end_workers()
        self._waiting.extendleft(share for _, share in self._running.values())
        self._running.clear()
        self._start_workers(shrink=True)

    def _start_workers(self, *, shrink: bool = False) -> None:
        job, pools = self._job, self._cluster.pools(shrink=shrink)
        settings = WorkerSettings(
            db=job.store.uri,
            collection=job.target.name if job.target else None,
            version=job.version,
            encoder=self._encoder,
            view=job.view,
            splitter=job.splitter,
            config=job.config,
            decoders=job.config.decoders or max(1, pools.decoders // pools.workers),
        )
        made = self._ray.remote(
            num_cpus=1,
            num_gpus=pools.gpus,
            max_restarts=RESTARTS,
            max_task_retries=-1,
            max_concurrency=2,
            scheduling_strategy="SPREAD",
        )(Worker)
        self._nodes = self._cluster.nodes()
        self._workers = [made.remote(settings) for _ in range(pools.workers)]

    def _end_workers(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []


def by_this_clock(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes with their time here: refusals of this job are known by it, and workers' clocks may be late."""
    now = datetime.now(UTC)
    return [replace(one, at=now) if isinstance(one, Refused) else one for one in outcomes]
