"""Keeps a job in the store's journal while it runs."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, Protocol

from oneword.storage import StorageError, Store

log = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds between two notes of progress in the journal."""


class Reported(Protocol):
    """What the journal needs of a report."""

    collection: str
    interrupted: bool
    kept: str | None

    def counts(self) -> dict[str, int]:
        """See `oneword.indexer.report.COUNTS`."""
        ...


@contextmanager
def journaled(store: Store, report: Reported, command: str, job_id: str | None = None) -> Iterator[Callable[[], None]]:
    """Keeps a journal entry during the block; yields a function that notes progress, at most every `BEAT` seconds.

    A journal that cannot be written is only warned about.
    """
    journal = store.journal()
    entry: str | None = None
    noted = time.monotonic()
    try:
        entry = journal.start(collection=report.collection, command=command, id=job_id)
    except StorageError as error:
        log.warning("this job will not be among `oneword jobs`: %s", error)

    def beat() -> None:
        nonlocal noted
        if entry is not None and time.monotonic() - noted >= BEAT:
            noted = time.monotonic()
            with suppress(StorageError):
                journal.beat(entry, report.counts())

    def finish(state: Literal["done", "interrupted", "failed"], message: str) -> None:
        if entry is not None:
            with suppress(StorageError):
                journal.finish(entry, state, report.counts(), message)

    try:
        yield beat
    except BaseException as error:
        finish("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error) or type(error).__name__)
        raise
    finish("interrupted" if report.interrupted else "done", report.kept or "")
