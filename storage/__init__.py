"""Items and their vectors, in LanceDB. Knows nothing of models or HTTP.

    store = Store(".oneword")
    photos = store.open_or_create("photos", space)
    with photos.writing():
        photos.upsert(items)
    hits = photos.search(vector, filter='year >= 2020')

Importing the package is light: LanceDB, Arrow and numpy come with the first name that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.storage.collection import Collection
    from oneword.storage.compaction import Compaction
    from oneword.storage.config import StorageConfig
    from oneword.storage.errors import (
        BadFile,
        BadFragment,
        BadItem,
        BadJobId,
        BadName,
        BadSearch,
        BadSpace,
        BadTag,
        CollectionExists,
        CollectionNotFound,
        DamagedCollection,
        FilterError,
        ItemNotFound,
        JobNotFound,
        Locked,
        MissingFaiss,
        MissingGpu,
        MissingKeywords,
        MissingLance,
        NeedsDirectory,
        NoRoom,
        SpaceMismatch,
        StorageError,
        StoreUnavailable,
        VersionNotFound,
    )
    from oneword.storage.filters import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range
    from oneword.storage.filters import from_json as filter_from_json
    from oneword.storage.filters import read as parse_filter
    from oneword.storage.filters import to_json as filter_to_json
    from oneword.storage.fragments import FragmentTarget, write_fragments
    from oneword.storage.fusion import reciprocal_rank, weighted
    from oneword.storage.hits import Hits
    from oneword.storage.info import CollectionInfo
    from oneword.storage.item import Hit, Item, Metadata, Modality, UpsertCount
    from oneword.storage.journal import JobRecord, Journal
    from oneword.storage.parquet.export import Exported
    from oneword.storage.parquet.load import Imported
    from oneword.storage.quarantine import Quarantine, Quarantined, Refused
    from oneword.storage.store import Store
    from oneword.storage.versions import Version

_HOMES = {
    "collection": ["Collection"],
    "compaction": ["Compaction"],
    "config": ["StorageConfig"],
    "errors": [
        "BadFile",
        "BadFragment",
        "BadItem",
        "BadJobId",
        "BadName",
        "BadSearch",
        "BadSpace",
        "BadTag",
        "CollectionExists",
        "CollectionNotFound",
        "DamagedCollection",
        "FilterError",
        "ItemNotFound",
        "JobNotFound",
        "Locked",
        "MissingFaiss",
        "MissingGpu",
        "MissingKeywords",
        "MissingLance",
        "NeedsDirectory",
        "NoRoom",
        "SpaceMismatch",
        "StorageError",
        "StoreUnavailable",
        "VersionNotFound",
    ],
    "filters": ["And", "AnyOf", "Contains", "Exists", "Filter", "Match", "Not", "Or", "Range"],
    "fragments": ["FragmentTarget", "write_fragments"],
    "fusion": ["reciprocal_rank", "weighted"],
    "hits": ["Hits"],
    "info": ["CollectionInfo"],
    "item": ["Hit", "Item", "Metadata", "Modality", "UpsertCount"],
    "journal": ["JobRecord", "Journal"],
    "parquet.export": ["Exported"],
    "parquet.load": ["Imported"],
    "quarantine": ["Quarantine", "Quarantined", "Refused"],
    "store": ["Store"],
    "versions": ["Version"],
}
_HOME = {name: (module, name) for module, names in _HOMES.items() for name in names}
_HOME["parse_filter"] = ("filters", "read")
_HOME["filter_from_json"] = ("filters", "from_json")
_HOME["filter_to_json"] = ("filters", "to_json")

__all__ = [
    "And",
    "AnyOf",
    "BadFile",
    "BadFragment",
    "BadItem",
    "BadJobId",
    "BadName",
    "BadSearch",
    "BadSpace",
    "BadTag",
    "Collection",
    "CollectionExists",
    "CollectionInfo",
    "CollectionNotFound",
    "Compaction",
    "Contains",
    "DamagedCollection",
    "Exists",
    "Exported",
    "Filter",
    "FilterError",
    "FragmentTarget",
    "Hit",
    "Hits",
    "Imported",
    "Item",
    "ItemNotFound",
    "JobNotFound",
    "JobRecord",
    "Journal",
    "Locked",
    "Match",
    "Metadata",
    "MissingFaiss",
    "MissingGpu",
    "MissingKeywords",
    "MissingLance",
    "Modality",
    "NeedsDirectory",
    "NoRoom",
    "Not",
    "Or",
    "Quarantine",
    "Quarantined",
    "Range",
    "Refused",
    "SpaceMismatch",
    "StorageConfig",
    "StorageError",
    "Store",
    "StoreUnavailable",
    "UpsertCount",
    "Version",
    "VersionNotFound",
    "filter_from_json",
    "filter_to_json",
    "parse_filter",
    "reciprocal_rank",
    "weighted",
    "write_fragments",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'oneword.storage' has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = globals()[name] = getattr(import_module(f"oneword.storage.{module}"), attribute)
    return value
