"""What travels between the stages: one object a row, one row a block, so that its size is ours to say."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from oneword.indexer.entry import Entry, Loaded, Outcome


@dataclass(frozen=True, kw_only=True)
class Share:
    """Inputs that are loaded together, each with its place in the share. number: of the share, in the job."""

    number: int
    inputs: tuple[tuple[int, Entry], ...]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which inputs of a share something is about."""

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
    """A group with vectors. embedded, reused: how many were computed, and taken from equal content."""

    about: Places
    done: tuple[Outcome, ...]
    embedded: int
    reused: int
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class InFragment(Loaded):
    """An input whose items are in a fragment that waits to be committed.

    written: how many. fragments: to be committed with it; the first input of a batch has them all.
    """

    written: int
    fragments: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many items it becomes."""
        return self.written


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer gives to the committer: what has become of each input.

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
    """A row without an object, where one is expected all the same."""
    import pyarrow as pa

    return pa.table({"data": pa.array([b""], pa.large_binary())})
