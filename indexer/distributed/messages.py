"""What travels between the driver and the workers: one object per row, one row per block, which bounds its size."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.engine.passages import Splitter
from oneword.engine.views import View
from oneword.indexer.entry import Entry
from oneword.indexer.options import JobConfig
from oneword.indexer.outcome import Loaded, Outcome
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


@dataclass(frozen=True, kw_only=True)
class Share:
    """Inputs that are loaded together, each with its place in the share. number: of the share, in the job."""

    number: int
    inputs: tuple[tuple[int, Entry], ...]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Identifies inputs of a share."""

    share: int
    places: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Loaded inputs that are embedded together. seconds: by stage."""

    about: Places
    outcomes: tuple[Outcome, ...]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A group with vectors. embedded, reused: counts of vectors that were computed and of reused ones."""

    about: Places
    done: tuple[Outcome, ...]
    embedded: int
    reused: int
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class InFragment(Loaded):
    """An input whose items are in a fragment that is not committed yet.

    written: number of items. fragments: to be committed with it; the first input of a batch has all of them.
    """

    written: int
    fragments: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many items it becomes."""
        return self.written


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer returns to the committer: the outcome of each input.

    done: `InFragment` for what is in fragments; `Loaded` for what the committer has to write.
    """

    about: tuple[Places, ...]
    done: tuple[Outcome, ...]
    embedded: int
    reused: int
    seconds: dict[str, float]


def to_block(objects: Iterable[Any]) -> Any:
    """An Arrow table, one row an object."""
    import pyarrow as pa

    return pa.table({"data": pa.array([pickle.dumps(one, 5) for one in objects], pa.large_binary())})


def from_block(table: Any) -> list[Any]:
    """The objects; rows without any are left out."""
    pickled = (value.as_buffer() for chunk in table["data"].chunks for value in chunk)
    return [pickle.loads(data) for data in pickled if len(data)]


def empty_row() -> Any:
    """A row without an object, where a row is required."""
    import pyarrow as pa

    return pa.table({"data": pa.array([b""], pa.large_binary())})
