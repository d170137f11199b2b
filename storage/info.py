"""Facts about a collection, and about a compaction of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneword.storage.metadata import Kind


@dataclass(frozen=True, kw_only=True)
class CollectionInfo:
    """A collection at one version.

    by_modality: number of items of each modality. version: LanceDB's commit number.
    bytes_on_disk: all its files, older versions included; None in an object store.
    metadata_keys: the kind of each metadata key seen so far. quarantined: inputs that could not be indexed.
    serving: the ANN index in use (`oneword.storage.ann.files.IndexInfo` as a dictionary), or None.
    created, updated: its first and its newest commit (UTC).
    """

    name: str
    items: int
    by_modality: dict[str, int]
    space: dict[str, Any]
    dimension: int
    version: int
    bytes_on_disk: int | None
    metadata_keys: dict[str, Kind]
    quarantined: int
    serving: dict[str, Any] | None
    created: datetime
    updated: datetime


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
