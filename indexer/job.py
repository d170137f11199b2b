"""A job that runs, and what runs it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oneword.engine.chunks import Splitter
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.pdf import MOST_PAGES
from oneword.engine.views import View
from oneword.indexer.changes import Seen, Triage
from oneword.indexer.coverage import Claim
from oneword.indexer.inputs import Inputs
from oneword.indexer.options import JobConfig
from oneword.indexer.report import Report
from oneword.indexer.stages import Stages
from oneword.storage import Collection, Item, Match, Store


@dataclass(kw_only=True)
class Job:
    """What a runner, local or distributed, needs of a job, and what it fills in.

    Args:
        target: None in a dry run that would make it.
        inputs: what there is to index.
        claims: of its paths, on the items that it may delete when their input is gone.
        version: the collection's version when the job began; None: it was empty.
        divided: whether the collection may have parts of files.
        source: recorded with each refusal, so that the input can be found again.
        stop: set when the job is to end after the groups that were begun.
        tell: reports progress.
    """

    target: Collection | None
    store: Store
    encoder: Encoder
    view: View
    splitter: Splitter | None = None
    config: JobConfig
    report: Report
    seen: Seen
    inputs: Inputs
    claims: Sequence[Claim]
    source: str
    version: int | None = None
    divided: bool = False
    stages: Stages = field(default_factory=Stages)
    stop: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[], None] = lambda: None

    @property
    def output(self) -> Collection | None:
        """The collection to write to; None in a dry run."""
        return None if self.config.dry_run else self.target

    def triage(self) -> Triage:
        """What finds out which inputs must be read."""
        config = self.config
        return Triage(self.lookup, self.splitter, self.seen, reread=config.reread, take_over=config.take_over)

    def lookup(self, ids: list[str]) -> dict[str, Item]:
        """What the collection held of these ids when the job began."""
        if self.version is None or self.target is None:
            return {}
        return self.target.get(ids, thumbnails=False, version=self.version)

    def of_document(self, document: str) -> list[Item]:
        """What the collection held of a file, by its id, when the job began: its parts, or the file as one item."""
        items = list(self.lookup([document]).values())
        if self.divided and self.version is not None and self.target is not None:
            condition = Match(field="document", value=document)
            items += self.target.page(filter=condition, limit=MOST_PAGES + 1, version=self.version)[0]
        return items


class Runner(Protocol):
    """Where jobs run: `oneword.indexer.pipeline.Local`, or `oneword.indexer.distributed.RayRunner`."""

    def check(self, config: JobConfig) -> None:
        """Raises IndexerError for options that it cannot follow."""
        ...

    def encoder(self, config: EngineConfig, view: View) -> Encoder:
        """The model, or what the job must know of it. Raises ModelError."""
        ...

    def run(self, job: Job) -> None:
        """Every entry of the job, until the end or until `job.stop` is set."""
        ...
