"""What jobs show on a terminal and in a log, and how Ctrl-C ends them."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from oneword.storage.terminal import at_terminal, console
from oneword.storage.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from oneword.indexer.report import Report

log = logging.getLogger(__name__)

SHOWN = 10
"""Refusals listed on the terminal; `oneword quarantine list` has them all."""

LINES = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class VisibleLines(logging.Formatter):
    """Log lines in which names of files and ids steer no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


def log_to(terminal: "Console") -> None:
    """Writes log lines to stderr; with their time where that is not a terminal."""
    from rich.logging import RichHandler

    handler: logging.Handler = logging.StreamHandler()
    line = VisibleLines("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    if sys.stderr.isatty():
        handler = RichHandler(console=terminal, show_path=False, show_time=False, show_level=False, highlighter=None)
        line = VisibleLines("%(message)s")
    handler.setFormatter(line)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss").setLevel(logging.WARNING)
    for name in ("httpx", "fsspec"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def progress_bar(terminal: "Console", description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Bar, count, rate and time left on a terminal's stderr, gone when done; elsewhere a line every `LINES` seconds.

    Yields what a job calls with (done, in all).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeLeft())
    at_terminal = sys.stderr.isatty()
    logged = started = time.monotonic()
    with Progress(*columns, console=terminal, transient=True, disable=not at_terminal) as bar:
        task = bar.add_task(description, total=None)

        def follow(done: int, total: int | None = None) -> None:
            nonlocal logged
            bar.update(task, completed=done, total=total)
            now = time.monotonic()
            if not at_terminal and now - logged >= LINES:
                logged = now
                of = "" if total is None else f" of {total:,}"
                log.info("%s%s inputs, %.1f/s", f"{done:,}", of, done / (now - started))

        yield follow


def show(report: "Report", db: str) -> None:
    """Prints a report for people. Strings are never read as markup."""
    from rich.text import Text

    out = console()
    rate = report.inputs / report.seconds if report.seconds else 0
    would = "would be " if report.dry_run else ""

    def say(*parts: str | tuple[str, str]) -> None:
        out.print(Text.assemble(*parts), soft_wrap=True)

    say(
        f"{report.inputs} inputs: ",
        (f"{report.indexed} {would}indexed", "bold"),
        f" ({report.added} new, {report.updated} changed), {report.unchanged} unchanged, "
        f"{report.quarantined} {would}quarantined  ",
        (f"{report.seconds:.1f} s, {rate:.1f}/s", "dim"),
    )
    if report.deleted:
        back = "" if report.dry_run else f" To go back: oneword restore {report.collection} {report.version_before}"
        say(f"{report.deleted} items {would}deleted: their inputs are gone.{back}")
    if report.kept:
        say((visible(report.kept), "yellow"))
    if report.rows > report.indexed:
        say((f"{report.rows} rows: long texts are split into chunks (search with --group-by document)", "dim"))
    if not report.inputs:
        say("No inputs were found.")
    if report.ignored:
        kinds = ", ".join(f"{count} {visible(suffix)}" for suffix, count in report.ignored.most_common())
        say((f"{report.ignored.total()} files and folders were passed over ({kinds})", "dim"))
        if any(kind.startswith("archives ") for kind in report.ignored):
            say(("Archives in folders are not opened: unpack them, or name .tar shards as paths.", "dim"))
    for one in report.refused[:SHOWN]:
        say(("quarantined", "yellow"), f" {one.kind}: {visible(one.reason)}")
    if report.quarantined > SHOWN:
        say(f"... and {report.quarantined - SHOWN} more: oneword quarantine list")
    if taken := report.kinds["IdTaken"]:
        say(
            f"{taken} rows {would}refused, because items of other sources have their ids. Give --id-prefix TEXT to "
            "keep both, or --take-over to let these rows replace them."
        )
    if report.quarantined and not report.dry_run:
        say(("Fix or delete these files, then run the same command again; or: oneword quarantine retry", "dim"))
    if report.interrupted:
        say(("Interrupted.", "yellow"), " What was done is committed; the same command goes on from there.")
    for what, seconds in (("seconds", report.stages), ("meanwhile in threads, added up", report.beside)):
        if shown := ", ".join(f"{one} {took:.1f}" for one, took in seconds.items() if took >= 0.05):
            say((f"{what}: {shown}", "dim"))
    say("Collection ", (report.collection, "bold"), f" in {visible(db)}, model {visible(report.model)}.")


class Stop(threading.Event):
    """Set by a signal; `exit_code` is 128 + its number, as a shell reports a process that it ended."""

    exit_code = 0


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """During the block the first SIGINT or SIGTERM sets the event, and the next raises KeyboardInterrupt."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.exit_code = 128 + number
        stop.set()
        log.warning("ending after the batch in hand; what is done is committed (a second signal ends at once)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def offer_model() -> None:
    """At a terminal, offers to download a better model than the one that would be taken."""
    from oneword.engine.availability import is_installed
    from oneword.engine.downloads import offered, pull

    if not (at_terminal() and is_installed("huggingface_hub")) or (model := offered()) is None:
        return
    about = f"{model.name}, {model.size / 1e9:.1f} GB, {model.license}"
    if typer.confirm(f"Download a better model than basic for this collection ({about})?", err=True):
        pull(model.name)
