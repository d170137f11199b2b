"""What workers get to know of a job."""

from dataclasses import dataclass

from oneword.engine.config import EngineConfig
from oneword.engine.passages import Splitter
from oneword.engine.views import View
from oneword.indexer.options import JobConfig
from oneword.storage import Collection, Store


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
    config: JobConfig

    def open(self) -> Collection | None:
        """The collection, to read."""
        return Store(self.db).open(self.collection) if self.collection is not None else None
