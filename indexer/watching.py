"""Keeps a collection in step with its sources: indexes, waits for a change, indexes again."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from oneword.indexer.report import Report

log = logging.getLogger(__name__)

POLL = 60.0
"""Seconds between two scans of places that do not report changes."""

TIMEOUT = 500
"""Milliseconds after which waiting for a change checks the stop event."""


def watch(
    paths: Sequence[str | Path], index: Callable[[], Report], stop: threading.Event, *, db: str = ""
) -> Iterator[Report]:
    """A report at once and after every change, until `stop` is set.

    The package `watchfiles` reports changes of local paths; without it, and for other paths, jobs run every `POLL`
    seconds.

    Args:
        db: the store, in which changes do not count.
    """
    changes = _changes([str(path) for path in paths], db, stop)
    next(changes, None)  # the watch begins before the first job does
    while not stop.is_set():
        report = index()
        yield report
        if report.interrupted or not next(changes, False):
            return


def _changes(paths: Sequence[str], db: str, stop: threading.Event) -> Iterator[bool]:
    """True for every time that something may have changed, and once at the beginning."""
    if all(Path(path).exists() for path in paths):
        try:
            from watchfiles import watch as watch_files
        except ImportError:
            log.info('indexing again every %.0f s; pip install "oneword[watch]" to do it upon changes', POLL)
        else:
            roots = [Path(path).resolve() for path in paths]
            folders = [root for root in roots if root.is_dir()]
            changes = watch_files(
                # Of files alone their folders: an editor that saves puts a new file in the old one's place.
                *(roots if folders else {root.parent for root in roots}),
                recursive=bool(folders),
                watch_filter=lambda _, path: _counts(Path(path), roots, Path(db).resolve() if db else None),
                stop_event=stop,
                raise_interrupt=False,
                ignore_permission_denied=True,
                yield_on_timeout=True,
                rust_timeout=TIMEOUT,
            )
            begun = False
            for some in changes:
                if some or not begun:
                    begun = True
                    yield True
            return
    yield True
    while not stop.wait(POLL):
        yield True


def _counts(path: Path, roots: Sequence[Path], db: Path | None) -> bool:
    """Whether a change there may be one of the inputs: below a root, not hidden there, and not in the store."""
    if db is not None and path.is_relative_to(db):
        return False
    below = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
    return any(not any(part.startswith(".") for part in one.parts) for one in below)
