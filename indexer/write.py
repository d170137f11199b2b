"""The end of the pipeline: commits what was embedded, many rows at a time, in a thread of its own."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from queue import Empty, Queue
from threading import Thread

from oneword.indexer.entry import input_of, name_of
from oneword.indexer.job import Job
from oneword.indexer.outcome import Loaded, Outcome, Unchanged, refuse
from oneword.storage import Collection, Refused

ROWS = 4096
BYTES = 128 * 2**20
SECONDS = 15.0
"""A commit is due at ROWS rows, BYTES of vectors and thumbnails, or SECONDS after the first row: at most that much is
repeated after a kill."""

CHUNK = re.compile(r"#\d+$")
"""Ids that a chunk of another text may have, too."""


class Writer:
    """Commits in its own thread, so that the encoder does not wait for it unless the queue is full.

    Counts in the report what it has committed, or in a dry run would. `put` and `close` raise the thread's errors.
    """

    def __init__(self, job: Job, *, commit_rows: int = ROWS) -> None:
        """commit_rows: see `ROWS`."""
        self._job, self._commit_rows = job, commit_rows
        quarantine = job.store.quarantine(job.output.name) if job.output else None
        self._quarantine = quarantine if quarantine and quarantine.count() else None  # to release what is indexed now
        self._queue: Queue[Sequence[Outcome] | None] = Queue(2)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name="write", daemon=True)
        self._thread.start()

    def put(self, done: Sequence[Outcome]) -> None:
        """Takes outcomes. Raises what committing earlier ones raised."""
        self._check()
        self._queue.put(done)

    def close(self) -> None:
        """Commits the rest and waits for it."""
        self._queue.put(None)
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        buffer, rows, size = list[Outcome](), 0, 0
        due, more = 0.0, True
        while more:
            try:
                some = self._queue.get(timeout=max(0.0, due - time.monotonic()) if buffer else None)
            except Empty:
                some = ()
            if some is None:
                more = False
            elif some and not buffer:
                due = time.monotonic() + SECONDS
            for one in some or ():
                rows += one.rows if isinstance(one, Loaded) else 1
                size += one.bytes if isinstance(one, Loaded) else 0
            buffer += some or ()
            full = rows >= self._commit_rows or size >= BYTES
            if self._error is None and (not more or full or time.monotonic() >= due):
                try:
                    with self._job.stages.beside("commit"):
                        self.commit(buffer)
                except BaseException as error:
                    self._error = error
                buffer, rows, size = [], 0, 0

    def commit(self, done: Sequence[Outcome]) -> None:
        """Writes items, then quarantine. After a kill at any point the next run repairs it."""
        good = [one for one in done if isinstance(one, Loaded)]
        refused = [one for one in done if isinstance(one, Refused)]
        if (output := self._job.output) is not None:
            good, bad = self._checked(output, good)
            refused += bad
            if stale := [item_id for one in good for item_id in one.stale]:
                output.delete(stale)
            if apart := [item for one in good if may_be_there(one) for item in one.items]:
                output.upsert(apart)
            if new := [item for one in good if not may_be_there(one) for item in one.items]:
                output.insert(new)
            if self._quarantine is not None:
                origins = {one.origin for one in done if not isinstance(one, Refused)}
                self._quarantine.release(origins - {one.uri for one in refused})
            quarantine = self._job.store.quarantine(output.name)
            quarantine.record([replace(one, source=self._job.source) for one in refused])
        self._job.report.count(good, refused, sum(isinstance(one, Unchanged) for one in done))

    def _checked(self, output: Collection, embedded: Sequence[Loaded]) -> tuple[list[Loaded], list[Refused]]:
        """Separates inputs that the collection cannot hold, or whose id is that of another text's chunk."""
        bad = output.check([item for one in embedded for item in one.items])
        like_chunks = [item.id for one in embedded for item in one.items if CHUNK.search(item.id)]
        stored = output.get(like_chunks, thumbnails=False) if like_chunks else {}
        owners = {item.id: input_of(item) for item in stored.values()}
        good: list[Loaded] = []
        refused: list[Refused] = []
        for one in embedded:
            name = name_of(None, one.origin)
            reason = next((bad[item.id] for item in one.items if item.id in bad), None) if bad else None
            taken = [item.id for item in one.items if owners.setdefault(item.id, input_of(item)) != input_of(item)]
            if reason is not None:
                refused.append(refuse(one.origin, "BadItem", f"{name}: {reason}"))
            elif taken:
                why = f"the id {taken[0]!r} is that of a chunk, or of another input, already; give the input another id"
                refused.append(refuse(one.origin, "DuplicateId", f"{name}: {why}"))
            else:
                good.append(one)
        return good, refused


def may_be_there(one: Loaded) -> bool:
    """Whether the table may hold one of its ids."""
    return one.before != "absent" or len(one.items) > 1 or CHUNK.search(one.items[0].id) is not None
