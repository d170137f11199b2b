"""The front of a job on many machines: reads the sources, and sends what is to be read to the workers."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice

from oneword.indexer.changes import Triage
from oneword.indexer.distributed.rows import Share
from oneword.indexer.entry import Entry, Reference, Unchanged, refuse
from oneword.indexer.job import Job
from oneword.storage import Refused

AT_ONCE = 2048
"""Entries that are looked up in the collection together."""

WEIGHT = 256
"""Of a full share: a text at hand weighs 1, what has to be read or decoded 4."""

BYTES = 8 * 2**20
"""Of content at hand in a share."""

SECONDS = 5.0
"""A share that does not fill up is sent after so long."""


class Feeder:
    """Reads in a thread of its own, until `stopped` is set."""

    def __init__(
        self,
        job: Job,
        known: Callable[[Sequence[Unchanged | Refused]], None],
        send: Callable[[Share], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """known: takes outcomes that need no worker. send: takes shares, and may wait. ended: called at last."""
        self._job, self._known, self._send, self._ended = job, known, send, ended
        self._triage = Triage(
            job.lookup, job.splitter, job.seen, reread=job.config.reread, take_over=job.config.take_over
        )
        self._unread: list[Entry] = []
        self._weight = self._bytes = self._number = 0
        self._since = 0.0
        self.stopped = threading.Event()

    def start(self) -> None:
        """Begins to read."""
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            entries = iter(self._job.inputs.entries())
            while not self.stopped.is_set():
                with self._job.stages.time("read"):
                    some = list(islice(entries, AT_ONCE))
                    outcomes = self._triage.sort(some)
                if not some:
                    break
                self._take(outcomes)
            self._flush()
        except BaseException as raised:
            error = raised
        self._ended(error)

    def _take(self, outcomes: Sequence[Unchanged | Refused | Entry]) -> None:
        known: list[Unchanged | Refused] = []
        for one in outcomes:
            if not isinstance(one, Entry):
                known.append(one)
            elif one.problem:
                known.append(refuse(one.origin, one.problem.kind, one.problem.reason))
            else:
                self._unread.append(one)
                self._weight += _weight(one)
                self._bytes += _bytes(one)
                self._since = self._since or time.monotonic()
                if self._weight >= WEIGHT or self._bytes >= BYTES:
                    self._flush()
        if known:
            self._known(known)
        if self._unread and time.monotonic() - self._since >= SECONDS:
            self._flush()

    def _flush(self) -> None:
        if self._unread and not self.stopped.is_set():
            self._send(Share(number=self._number, inputs=tuple(enumerate(self._unread))))
            self._number += 1
        self._unread, self._weight, self._bytes, self._since = [], 0, 0, 0.0


def _weight(entry: Entry) -> int:
    return 4 if entry.image is not None or isinstance(entry.text, Reference) else 1


def _bytes(entry: Entry) -> int:
    return sum(len(part) for part in (entry.image, entry.text) if isinstance(part, bytes | str))
