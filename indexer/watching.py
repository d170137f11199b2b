"""Keeps a collection in step with its sources: indexes, waits for a change, indexes again."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from indexer.report import Report

log = logging.getLogger(__name__)

POLL = 60.0
"""Seconds between two looks at what cannot tell of its changes."""


def watch(paths: Sequence[str | Path], index: Callable[[], Report], stop: threading.Event) -> Iterator[Report]:
    """A report at once and after every change, until `stop` is set.

    Local paths tell of changes (package `watchfiles`); without it, and elsewhere, there is a look every `POLL` seconds.
    """
    changes = _changes([str(path) for path in paths], stop)
    while not stop.is_set():
        report = index()
        yield report
        if report.interrupted or not next(changes, False):
            return


def _changes(paths: Sequence[str], stop: threading.Event) -> Iterator[bool]:
    """True for every time that something may have changed."""
    if all(Path(path).exists() for path in paths):
        try:
            from watchfiles import watch as watch_files
        except ImportError:
            log.info('watching by looking every %.0f s; pip install "oneword[watch]" to be told of changes', POLL)
        else:
            for _ in watch_files(*paths, stop_event=stop, raise_interrupt=False, ignore_permission_denied=True):
                yield True
            return
    while not stop.wait(POLL):
        yield True
