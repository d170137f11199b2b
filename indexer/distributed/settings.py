"""What workers are told of a job."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.passages import Splitter
from oneword.engine.views import View
from oneword.indexer.report import Report
from oneword.indexer.seen import Seen
from oneword.indexer.stages import Stages
from oneword.storage import Collection, Store

if TYPE_CHECKING:
    from oneword.indexer.job import JobConfig


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Of the job, what a worker needs. Small and picklable.

    Args:
        db, collection: where the worker reads the vectors of equal content and writes fragments; None in a dry run
            that would make the collection.
        version: the collection's when the job began; None: it was empty.
    """

    db: str
    collection: str | None
    version: int | None
    encoder: EngineConfig
    view: View
    splitter: Splitter | None
    config: "JobConfig"

    def open(self) -> Collection | None:
        """The collection, to read."""
        return Store(self.db).open(self.collection) if self.collection is not None else None


@dataclass(kw_only=True)
class WorkerJob:
    """A worker's side of a job, as `oneword.indexer.vectors.Embedding` knows a job."""

    config: "JobConfig"
    target: Collection | None
    version: int | None
    encoder: Encoder
    view: View
    seen: Seen
    report: Report
    stages: Stages = field(default_factory=Stages)
