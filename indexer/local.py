"""Runs a job on this machine: threads read and processes decode ahead, the encoder encodes, a thread writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from oneword.engine.encoder import tiler_of
from oneword.indexer.contents import Contents
from oneword.indexer.decoding import Decoders
from oneword.indexer.device import Device
from oneword.indexer.entry import Entry
from oneword.indexer.loading import Loaded, load
from oneword.indexer.reading_ahead import ReadingAhead, Unchanged
from oneword.indexer.report import Report
from oneword.indexer.vectors import Embedding
from oneword.indexer.writing import Done, Embedded, Writer
from oneword.storage import Refused

if TYPE_CHECKING:
    from oneword.indexer.job import Job

GROUP = 512
"""Most texts or pictures that the encoder is given at once: it makes its own batches of them."""

GROUP_PIXELS = 66_000_000
"""Most pixels among them (200 MB of RGB), so that large photos do not fill the memory. Of three groups one is being
gathered, one is begun, and one is encoded."""

THREADS = 16
"""Least that read content and wait for its decoding; most of their time they wait."""


def run_local(job: "Job") -> None:
    """Every entry of the job, until the end or until it is told to stop."""
    tiler = None if job.config.dry_run else tiler_of(job.encoder)
    decoders, contents = (
        Decoders(job.config.decoders, max_pixels=job.config.max_pixels, tiler=tiler),
        Contents(allow_private=job.config.allow_private, roots=job.inputs.roots),
    )

    def load_entry(entry: Entry) -> Loaded | Refused:
        return load(entry, contents, decoders, job.splitter)

    ahead = ReadingAhead(
        job.inputs.entries(),
        job.lookup,
        load_entry,
        job.splitter,
        job.seen,
        job.stages,
        threads=max(THREADS, 2 * decoders.count),
        reread=job.config.reread,
        take_over=job.config.take_over,
    )
    sink, embedding, device = _sink(job), Embedding(job), Device(job.stages)
    try:
        for group in ahead.groups(GROUP, GROUP_PIXELS, least=lambda: device.least):
            if group and not job.stop.is_set():
                sink.put(device.exchange(embedding.begin(group)))
            elif device.idle:
                sink.put(device.exchange(None))
            job.tell()
            if job.stop.is_set():
                break
        sink.put(device.exchange(None))
        job.tell()
    finally:
        ahead.stop()
        device.close()
        try:
            sink.close()
        finally:
            contents.close()


class Sink(Protocol):
    """Where outcomes go."""

    def put(self, done: Sequence[Done]) -> None:
        """Takes outcomes over."""
        ...

    def close(self) -> None:
        """Deals with the rest, and waits for it."""
        ...


class Counting:
    """A dry run's end: what would be written is counted."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def put(self, done: Sequence[Done]) -> None:
        """Counts."""
        good = [one for one in done if isinstance(one, Embedded)]
        refused = [one for one in done if isinstance(one, Refused)]
        self._report.count(good, refused, sum(isinstance(one, Unchanged) for one in done))

    def close(self) -> None:
        """Nothing is left."""


def _sink(job: "Job") -> Sink:
    if job.target is None or job.config.dry_run:
        return Counting(job.report)
    return Writer(job.target, job.store.quarantine(job.target.name), job.report, job.stages, source=job.source)
