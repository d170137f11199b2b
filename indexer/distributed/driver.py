"""Runs a job on many machines: feeds the workers, takes what comes back, commits it."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.indexer.distributed.cluster import Cluster
from oneword.indexer.distributed.faults import failed, is_lost, own_errors
from oneword.indexer.distributed.messages import InFragment, Share, WorkerSettings, Written, from_block, to_block
from oneword.indexer.distributed.pipeline import Pipeline, alive
from oneword.indexer.distributed.shares import Feeder, Ledger
from oneword.indexer.job import Job
from oneword.indexer.outcome import Loaded, Outcome, Unchanged
from oneword.indexer.write import BYTES, Writer
from oneword.storage import Refused

log = logging.getLogger(__name__)

INPUTS = 65_536
"""A commit is due at this many inputs: 32 fragments, if they are full."""

RESTARTS = 3
"""Times that the pipeline is restarted without any result in between, before the job fails."""

MISSING = "inputs went to the workers that did not come back, or came back twice"


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
    if job.output:
        job.output.sweep()


class _Driver:
    def __init__(self, job: Job, cluster: Cluster, encoder: EngineConfig) -> None:
        self._job, self._cluster, self._ray = job, cluster, cluster.ray
        self._settings = WorkerSettings(
            db=job.store.uri,
            collection=job.target.name if job.target else None,
            version=job.version,
            encoder=encoder,
            view=job.view,
            splitter=job.splitter,
            config=job.config,
        )
        pools = cluster.pools()
        self._ledger = Ledger(most=16 + 4 * (pools.loaders + pools.embedders) + 16 * pools.writers)
        self._events: Queue[tuple[Any, Any]] = Queue(64)
        self._pipeline: Pipeline | None = None
        self._swap = threading.Lock()  # shares go into one pipeline's feed, not into two
        self._read = False
        self._writer = Committer(job)
        self._feeder = Feeder(job, self._known, self._send, lambda error: self._tell(self._feeder, error))

    def run(self) -> None:
        """Until every input is accounted for."""
        self._feeder.start()
        heard, restarts = time.monotonic(), 0
        while self._pipeline is not None or not (self._read or self._feeder.stopped.is_set()):
            self._job.tell()
            if self._job.stop.is_set():
                self._stop()
                return
            try:
                sender, event = self._events.get(timeout=0.5)
            except Empty:
                if self._stalled(heard):
                    self._begin_again("a node was lost, and nothing has come back since")
                    heard = time.monotonic()
                continue
            if sender is self._feeder:
                self._ended_reading(event)
            elif sender is None:
                self._writer.put(event)
            elif sender is not self._pipeline:
                continue  # given up before
            elif isinstance(event, Written) and self._take(event):
                heard, restarts = time.monotonic(), 0
            elif event is None and not len(self._ledger):
                self._pipeline = None
            elif isinstance(event, BaseException) and not is_lost(self._ray, event):
                self._pipeline = None
                raise failed(event) from event
            elif restarts == RESTARTS:
                raise failed(event if isinstance(event, BaseException) else RuntimeError(MISSING))
            else:
                restarts += 1
                self._begin_again(str(event).splitlines()[0] if isinstance(event, BaseException) else MISSING)
                heard = time.monotonic()

    def close(self) -> None:
        """Ends the workers if they are not at their end, and commits the rest."""
        self._feeder.stopped.set()
        try:
            with self._swap:
                old, self._pipeline = self._pipeline, None
                if old is not None:
                    self._let_go(old)
        finally:
            self._writer.close()

    def _tell(self, sender: Any, event: Any) -> None:
        """Called by the feeder."""
        while not self._feeder.stopped.is_set():
            try:
                self._events.put((sender, event), timeout=0.5)
                return
            except Full:
                continue

    def _known(self, outcomes: Sequence[Unchanged | Refused]) -> None:
        self._tell(None, outcomes)

    def _send(self, share: Share) -> None:
        """Called by the feeder."""
        while not self._ledger.wait_for_room(0.5):
            if self._feeder.stopped.is_set():
                return
        block = self._ray.put(to_block([share]))
        with self._swap:
            if self._feeder.stopped.is_set():
                return
            if self._pipeline is None:
                self._pipeline = self._begun()
            self._ledger.send(share.number, block, len(share.inputs), self._pipeline.place)
            self._pipeline.put(block)

    def _take(self, written: Written) -> bool:
        """Commits it. False if it is not what was on its way."""
        done = self._ledger.account(written.about)
        if done is None:
            return False
        if done and self._pipeline is not None:
            self._pipeline.forget(done)
        for stage, seconds in written.seconds.items():
            self._job.stages.add(stage, seconds)
        self._job.report.embedded += written.embedded
        self._job.report.reused += written.reused
        self._writer.put(written.done)
        return True

    def _ended_reading(self, error: BaseException | None) -> None:
        self._read = True
        if error is not None:
            raise error
        if self._pipeline is not None:  # and nobody makes another one now
            self._pipeline.close()

    def _stop(self) -> None:
        """Takes what has come back; what the workers still do is left to the next run."""
        self._feeder.stopped.set()
        while True:
            try:
                sender, event = self._events.get_nowait()
            except Empty:
                return
            if sender is self._pipeline and isinstance(event, Written):
                self._take(event)
            elif sender is None:
                self._writer.put(event)

    def _stalled(self, heard: float) -> bool:
        """Whether nothing has come back for long, and a node is gone."""
        waiting = self._pipeline is not None and time.monotonic() - heard > self._cluster.config.patience
        return waiting and self._pipeline is not None and not self._pipeline.nodes <= alive(self._ray)

    def _begin_again(self, reason: str) -> None:
        """Restarts the pipeline with what has not come back, on the nodes that are left."""
        log.warning("the workers begin again with %d shares of inputs: %s", len(self._ledger), reason)
        with self._swap:
            if self._pipeline is not None:
                old, self._pipeline = self._pipeline, None
                self._let_go(old)
            if self._feeder.stopped.is_set():
                return
            self._pipeline = self._begun(shrink=True)
            for number, (block, left) in self._ledger.left().items():
                (share,) = from_block(self._ray.get(block))
                some = replace(share, inputs=tuple(one for one in share.inputs if one[0] in left))
                self._ledger.moved(number, self._pipeline.place)
                self._pipeline.put(self._ray.put(to_block([some])))
            if self._read:
                self._pipeline.close()

    def _let_go(self, pipeline: Pipeline) -> None:
        """Ends a pipeline. Its events are dropped meanwhile, and others are kept."""
        ending = threading.Thread(target=pipeline.abandon, daemon=True)
        ending.start()
        while ending.is_alive():
            try:
                sender, event = self._events.get(timeout=0.1)
            except Empty:
                continue
            if sender is self._feeder:
                self._ended_reading(event)
            elif sender is None:
                self._writer.put(event)

    def _begun(self, *, shrink: bool = False) -> Pipeline:
        return Pipeline(self._ray, self._settings, self._cluster.pools(shrink=shrink), self._events)


class Committer(Writer):
    """The one writer of the collection.

    Fragments that workers wrote become part of the table in one commit; changed items, split texts and items with new
    metadata are written as by `Writer`.
    """

    def commit(self, done: Sequence[Outcome]) -> None:
        """Fragments, then the rest. After a kill at any point the next run repairs it."""
        inside = [one for one in done if isinstance(one, InFragment)]
        if (fragments := [fragment for one in inside for fragment in one.fragments]) and self._job.output:
            self._job.output.commit_fragments(fragments)
        self._release([one.origin for one in inside])
        self._job.report.count(inside, [], 0)
        now = datetime.now(UTC)  # by this clock: refusals of this job are known by their time
        rest = [one for one in done if not isinstance(one, InFragment)]
        super().commit([replace(one, at=now) if isinstance(one, Refused) else one for one in rest])

    def _full(self, buffer: Sequence[Outcome]) -> bool:
        return len(buffer) >= INPUTS or sum(one.bytes for one in buffer if isinstance(one, Loaded)) >= BYTES
