"""Writes into the store's journal that a job began, how far it is, and how it ended."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from oneword.indexer.report import Report
from oneword.storage import StorageError

if TYPE_CHECKING:
    from oneword.indexer.job import Job

log = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds between two notes of progress."""

COUNTS = ("inputs", "indexed", "added", "updated", "unchanged", "quarantined", "rows", "embedded", "deleted")


@contextmanager
def journaled(job: "Job", command: str, job_id: str | None = None) -> Iterator[Callable[[], None]]:
    """A journal entry for the length of the block; yields what notes progress, if the last note is old enough.

    A journal that cannot be written is warned about, and no reason to fail.
    """
    journal, report = job.store.journal(), job.report
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
                journal.beat(entry, counts(report))

    def finish(state: Literal["done", "interrupted", "failed"], message: str) -> None:
        if entry is not None:
            with suppress(StorageError):
                journal.finish(entry, state, counts(report), message)

    try:
        yield beat
    except BaseException as error:
        finish("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error) or type(error).__name__)
        raise
    finish("interrupted" if report.interrupted else "done", report.kept or "")


def counts(report: Report) -> dict[str, Any]:
    """What a journal entry tells of a report."""
    return {name: getattr(report, name) for name in COUNTS}
