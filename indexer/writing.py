"""The back of a job: commits what was embedded, many rows at a time, in a thread of its own."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from queue import Empty, Queue
from threading import Thread

from oneword.indexer.loading import name_of, refuse
from oneword.indexer.reading_ahead import Unchanged
from oneword.indexer.report import Report
from oneword.indexer.stages import Stages
from oneword.storage import Collection, Item, Quarantine, Refused

ROWS = 4096
BYTES = 128 * 2**20
SECONDS = 15.0
"""A commit is due at so many rows, so many bytes of vectors and thumbnails, or so long after the first row: what a kill
makes a job repeat at the worst."""

PASSAGE = re.compile(r"#\d+$")
"""Ids that a passage of another text may have, too."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """An input as it is to be stored.

    Args:
        items: with their vectors.
        before: whether the collection has it: "absent", "differing", or "touched" where only the file's time differs.
        stale: ids of passages that it has no more.
    """

    origin: str
    items: tuple[Item, ...]
    before: str
    stale: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many items it becomes."""
        return len(self.items)

    @property
    def bytes(self) -> int:
        """About how large it is."""
        return sum(len(one.thumbnail or b"") + 4 * len(one.vector) for one in self.items if one.vector is not None)


Done = Embedded | Refused | Unchanged


class Writer:
    """Commits in its own thread, so that the encoder need not wait; a full queue makes it wait all the same.

    Counts what it has committed in the report. What it raises comes out of `put` or `close`.
    """

    def __init__(
        self, collection: Collection, quarantine: Quarantine, report: Report, stages: Stages, *, source: str
    ) -> None:
        """source: told with each refusal, so that the input can be found again."""
        self._collection, self._quarantine, self._report, self._stages = collection, quarantine, report, stages
        self._source = source
        self._quarantined_before = quarantine.count() > 0
        self._queue: Queue[Sequence[Done] | None] = Queue(2)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name="write", daemon=True)
        self._thread.start()

    def put(self, done: Sequence[Done]) -> None:
        """Takes outcomes over."""
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
        buffer: list[Done] = []
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
            buffer += some or ()
            if self._error is None and (not more or time.monotonic() >= due or self._full(buffer)):
                try:
                    with self._stages.time("write"):
                        self.commit(buffer)
                except BaseException as error:
                    self._error = error
                buffer = []

    @staticmethod
    def _full(buffer: Sequence[Done]) -> bool:
        embedded = [one for one in buffer if isinstance(one, Embedded)]
        rows = sum(len(one.items) for one in embedded)
        return len(buffer) >= ROWS or rows >= ROWS or sum(one.bytes for one in embedded) >= BYTES

    def commit(self, done: Sequence[Done]) -> None:
        """Writes items, then quarantine; cut short anywhere, the next run makes up for it."""
        refused = [one for one in done if isinstance(one, Refused)]
        good, bad = self._checked([one for one in done if isinstance(one, Embedded)])
        refused += bad
        if stale := [item_id for one in good for item_id in one.stale]:
            self._collection.delete(stale)
        apart = [one for one in good if may_be_there(one)]
        if apart:
            self._collection.upsert(item for one in apart for item in one.items)
        if new := [item for one in good if not may_be_there(one) for item in one.items]:
            self._collection.insert(new)
        if self._quarantined_before:
            bad_ones = {one.uri for one in refused}
            origins = {one.origin for one in done if not isinstance(one, Refused)}
            self._quarantine.release(origins - bad_ones)
        self._quarantine.record([replace(one, source=self._source) for one in refused])
        self._report.count(good, refused, sum(isinstance(one, Unchanged) for one in done))

    def _checked(self, embedded: Sequence[Embedded]) -> tuple[list[Embedded], list[Refused]]:
        """Without those that the collection cannot hold, or whose id is that of another text's passage."""
        bad = self._collection.check([item for one in embedded for item in one.items])
        owners = self._owners(embedded)
        good: list[Embedded] = []
        refused: list[Refused] = []
        for one in embedded:
            name = name_of(None, one.origin)
            reason = next((bad[item.id] for item in one.items if item.id in bad), None) if bad else None
            taken = [item.id for item in one.items if owners.setdefault(item.id, _owner(item)) != _owner(item)]
            if reason is not None:
                refused.append(refuse(one.origin, "BadItem", f"{name}: {reason}"))
            elif taken:
                told = (
                    f"the id {taken[0]!r} is that of a passage, or of another input, already; give the input another id"
                )
                refused.append(refuse(one.origin, "DuplicateId", f"{name}: {told}"))
            else:
                good.append(one)
        return good, refused

    def _owners(self, embedded: Sequence[Embedded]) -> dict[str, str]:
        """Of ids such as passages have: whose they are in the table."""
        ids = [item.id for one in embedded for item in one.items if PASSAGE.search(item.id)]
        return {item.id: _owner(item) for item in self._collection.get(ids, thumbnails=False).values()} if ids else {}


def _owner(item: Item) -> str:
    """Of a passage its text, of any other item itself."""
    return str(item.metadata["document"]) if "passages" in item.metadata else item.id


def may_be_there(one: Embedded) -> bool:
    """Whether the table may hold one of its ids."""
    return one.before != "absent" or len(one.items) > 1 or PASSAGE.search(one.items[0].id) is not None
