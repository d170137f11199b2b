"""What there is to know about a collection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oneword.storage.metadata import Kind


@dataclass(frozen=True, kw_only=True)
class CollectionInfo:
    """A collection at one version.

    by_modality: items of each modality there is. version: LanceDB's commit number.
    bytes_on_disk: all its files, older versions included; None in an object store.
    metadata_keys: the kind of each metadata key met so far. quarantined: inputs that could not be indexed.
    serving: the serving index that answers (see `oneword.storage.serving.index.About`), or None.
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
