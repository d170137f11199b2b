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
    from storage.collection import Collection
    from storage.errors import (
        BadItem,
        BadName,
        BadSearch,
        BadSpace,
        CollectionExists,
        CollectionNotFound,
        FilterError,
        ItemNotFound,
        Locked,
        MissingFaiss,
        MissingKeywords,
        SpaceMismatch,
        StorageError,
        StoreUnavailable,
        VersionNotFound,
    )
    from storage.filters import And, AnyOf, Contains, Exists, Filter, Match, Not, Or, Range
    from storage.filters import from_json as filter_from_json
    from storage.filters import parse as parse_filter
    from storage.filters import to_json as filter_to_json
    from storage.fusion import reciprocal_rank, weighted
    from storage.hits import Hits
    from storage.info import CollectionInfo
    from storage.item import Hit, Item, Metadata, Modality, UpsertCount
    from storage.quarantine import Quarantine, Quarantined, Refused
    from storage.store import Store

_HOMES = {
    "collection": ["Collection"],
    "errors": [
        "BadItem",
        "BadName",
        "BadSearch",
        "BadSpace",
        "CollectionExists",
        "CollectionNotFound",
        "FilterError",
        "ItemNotFound",
        "Locked",
        "MissingFaiss",
        "MissingKeywords",
        "SpaceMismatch",
        "StorageError",
        "StoreUnavailable",
        "VersionNotFound",
    ],
    "filters": ["And", "AnyOf", "Contains", "Exists", "Filter", "Match", "Not", "Or", "Range"],
    "fusion": ["reciprocal_rank", "weighted"],
    "hits": ["Hits"],
    "info": ["CollectionInfo"],
    "item": ["Hit", "Item", "Metadata", "Modality", "UpsertCount"],
    "quarantine": ["Quarantine", "Quarantined", "Refused"],
    "store": ["Store"],
}
_HOME = {name: (module, name) for module, names in _HOMES.items() for name in names}
_HOME["parse_filter"] = ("filters", "parse")
_HOME["filter_from_json"] = ("filters", "from_json")
_HOME["filter_to_json"] = ("filters", "to_json")

__all__ = [
    "And",
    "AnyOf",
    "BadItem",
    "BadName",
    "BadSearch",
    "BadSpace",
    "Collection",
    "CollectionExists",
    "CollectionInfo",
    "CollectionNotFound",
    "Contains",
    "Exists",
    "Filter",
    "FilterError",
    "Hit",
    "Hits",
    "Item",
    "ItemNotFound",
    "Locked",
    "Match",
    "Metadata",
    "MissingFaiss",
    "MissingKeywords",
    "Modality",
    "Not",
    "Or",
    "Quarantine",
    "Quarantined",
    "Range",
    "Refused",
    "SpaceMismatch",
    "StorageError",
    "Store",
    "StoreUnavailable",
    "UpsertCount",
    "VersionNotFound",
    "filter_from_json",
    "filter_to_json",
    "parse_filter",
    "reciprocal_rank",
    "weighted",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'storage' has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = globals()[name] = getattr(import_module(f"storage.{module}"), attribute)
    return value
