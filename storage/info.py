"""Facts about a collection and its ANN index, which REST and its client have as they are; and results of upkeep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

By: TypeAlias = Literal["pixels", "meaning"]
"""What near copies have in common."""


@dataclass(frozen=True, kw_only=True)
class CollectionSummary:
    """A collection at its newest version.

    dimension: numbers in a vector. version: LanceDB's commit number.
    """

    name: str
    items: int
    model: str
    view: str
    dimension: int
    version: int


@dataclass(frozen=True, kw_only=True)
class CollectionInfo(CollectionSummary):
    """All facts about a collection.

    by_modality: number of items of each modality. space: what its vectors are made by; see `engine.Space`.
    metadata_keys: the kind of each metadata key seen so far, without the indexer's own (`_...`).
    quarantined: inputs that could not be indexed.
    index: the ANN index that answers searches (`oneword.storage.ann.files.IndexInfo`), or None.
    created, updated: its first and its newest commit (UTC).
    bytes_on_disk: all its files, older versions included; None in an object store.
    """

    by_modality: dict[str, int]
    space: dict[str, Any]
    metadata_keys: dict[str, str]
    quarantined: int
    index: dict[str, Any] | None
    created: datetime
    updated: datetime
    bytes_on_disk: int | None


@dataclass(frozen=True, kw_only=True)
class IndexCheck:
    """The ANN index compared with the table.

    right: searches return what the table would, up to the recall goal.
    recall: recall@10 over sampled queries. goal: the recall@10 that was requested.
    rows: of the table.
    missing: rows of the table that a search would not find.
    extra: rows that a search would find and that the table does not have as they were.
    stale: rows of the index that were deleted or replaced since; searches leave them out.
    fresh: rows written since; searches compare them exactly.
    differing: sampled rows whose vector or item in the index is not the table's.
    damaged: files of the index that differ from what was written.
    """

    right: bool
    recall: float
    goal: float
    rows: int
    missing: int
    extra: int
    stale: int
    fresh: int
    differing: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """An image that has copies. width, height: in pixels, None: not known."""

    id: str
    uri: str
    width: int | None
    height: int | None


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Images that are copies of each other.

    exact: their pixels are equal. items: the one to keep first: the largest, of these the sharpest.
    """

    exact: bool
    items: tuple[Copy, ...]


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """A collection before and after its small files were merged and old versions removed.

    files_*, bytes_*: all its files, those of older versions included; None in an object store.
    versions_removed, versions_kept: tagged ones are among the kept.
    """

    files_before: int | None
    files_after: int | None
    bytes_before: int | None
    bytes_after: int | None
    versions_removed: int
    versions_kept: int


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The result of an export. file: absolute. version: of the collection."""

    file: str
    items: int
    version: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of an import. Each row is `added`, `updated`, or `unchanged` if it was stored already, to the bit."""

    collection: str
    added: int
    updated: int
    unchanged: int

    @property
    def rows(self) -> int:
        """Rows in the file; rows of one id in one commit count once."""
        return self.added + self.updated + self.unchanged
