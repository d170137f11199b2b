"""Reads a job's sources and divides what must be read into shares for the workers."""

import threading
from collections.abc import Iterator
from itertools import islice
from queue import Full, Queue
from typing import TypeAlias

from oneword.indexer.entry import Entry, Reference
from oneword.indexer.job import Job
from oneword.indexer.outcome import Outcome, refuse

AT_ONCE = 2048
"""Entries that are looked up in the collection together."""

WEIGHT = 256
"""Of a full share: an included text weighs 1, an input to be read or decoded 4."""

BYTES = 8 * 2**20
"""Most included content in a share."""

Share: TypeAlias = tuple[Entry, ...]
"""Inputs that one worker loads and embeds."""


def shares(job: Job) -> Iterator[Share | list[Outcome]]:
    """Shares, and outcomes that need no worker: each entry of the job is in one of them."""
    triage, entries = job.triage(), job.inputs.entries()
    share, weight, size = list[Entry](), 0, 0
    while True:
        with job.stages.beside("list"):
            some = list(islice(entries, AT_ONCE))
        with job.stages.beside("compare"):
            sorted_out = triage.sort(some)
        known: list[Outcome] = []
        for one in sorted_out:
            if not isinstance(one, Entry):
                known.append(one)
            elif one.problem:
                known.append(refuse(one.origin, one.problem.kind, one.problem.reason))
            else:
                share.append(one)
                weight += 4 if one.image is not None or isinstance(one.text, Reference) else 1
                size += sum(len(part) for part in (one.image, one.text) if isinstance(part, bytes | str))
                if weight >= WEIGHT or size >= BYTES:
                    yield tuple(share)
                    share, weight, size = [], 0, 0
        if known:
            yield known
        if not some:
            break
    if share:
        yield tuple(share)


class Feeder:
    """Reads shares ahead, in a thread of its own, until it is stopped."""

    def __init__(self, job: Job) -> None:
        self.queue: Queue[Share | list[Outcome] | BaseException | None] = Queue(8)
        """At the end None, or the error that ended reading."""
        self._stopped = threading.Event()
        threading.Thread(target=self._run, args=(job,), name="feed", daemon=True).start()

    def stop(self) -> None:
        """Read no further; what was read ahead is dropped."""
        self._stopped.set()

    def _run(self, job: Job) -> None:
        ended: BaseException | None = None
        try:
            for one in shares(job):
                self._put(one)
                if self._stopped.is_set():
                    return
        except BaseException as error:
            ended = error
        self._put(ended)

    def _put(self, one: Share | list[Outcome] | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self.queue.put(one, timeout=0.2)
                return
            except Full:
                continue
