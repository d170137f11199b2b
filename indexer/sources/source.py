"""The seam between a job and where its inputs come from."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from oneword.indexer.entry import Entry


class Source(Protocol):
    """Yields inputs, one after the other, always in the same order; memory does not grow with their number.

    A file, shard or row that cannot be read is an `Entry` with its `problem`, and the rest goes on.
    """

    ignored: Counter[str]
    """Files that are no inputs, by suffix; complete once `entries` is exhausted."""

    @property
    def containers(self) -> frozenset[str]:
        """URIs of the tables, shards or lists whose rows, samples or URLs the inputs are; none for files."""
        ...

    @property
    def total(self) -> int | None:
        """How many inputs there are, where that is cheap to know."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All inputs, from the start."""
        ...
