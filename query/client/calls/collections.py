"""Collections."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from oneword.query.client.answers import CollectionDetails, CollectionSummary, IndexCheck
from oneword.query.client.calls.call import Call, collection_path, given
from oneword.storage.quarantine import Quarantined
from oneword.storage.versions import Version


def collections() -> Call[list[CollectionSummary]]:
    """GET /v1/collections."""
    return Call(
        method="GET",
        path="/v1/collections",
        read=lambda response: [CollectionSummary.of(one) for one in response.json()["collections"]],
    )


def collection(name: str) -> Call[CollectionDetails]:
    """GET /v1/collections/NAME."""
    return Call(method="GET", path=collection_path(name), read=lambda response: CollectionDetails.of(response.json()))


def create_collection(name: str, model: str | None, view: str | None) -> Call[CollectionDetails]:
    """POST /v1/collections."""
    return Call(
        method="POST",
        path="/v1/collections",
        json={"name": name} | given(model=model, view=view),
        read=lambda response: CollectionDetails.of(response.json()),
        writes=True,
    )


def drop_collection(name: str) -> Call[None]:
    """DELETE /v1/collections/NAME."""
    return Call(method="DELETE", path=collection_path(name), read=lambda _: None, writes=True)


def verify(collection: str) -> Call[IndexCheck]:
    """POST /v1/collections/NAME/verify."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/verify",
        read=lambda response: IndexCheck.of(response.json()),
    )


def build(collection: str) -> Call[bool]:
    """POST /v1/collections/NAME/build."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/build",
        read=lambda response: bool(response.json()["building"]),
        writes=True,
    )


def quarantine(collection: str, limit: int) -> Call[list[Quarantined]]:
    """GET /v1/collections/NAME/quarantine."""
    return Call(
        method="GET",
        path=f"{collection_path(collection)}/quarantine",
        params={"limit": str(limit)},
        read=lambda response: [_quarantined(one) for one in response.json()["quarantined"]],
    )


def versions(collection: str) -> Call[list[Version]]:
    """GET /v1/collections/NAME/versions."""
    return Call(
        method="GET",
        path=f"{collection_path(collection)}/versions",
        read=lambda response: [_version(one) for one in response.json()["versions"]],
    )


def _quarantined(entry: Mapping[str, Any]) -> Quarantined:
    return Quarantined(
        uri=entry["uri"],
        reason=entry["reason"],
        kind=entry["kind"],
        tries=entry["tries"],
        first_seen=datetime.fromisoformat(entry["first_seen"]),
        last_tried=datetime.fromisoformat(entry["last_tried"]),
    )


def _version(entry: Mapping[str, Any]) -> Version:
    at = datetime.fromisoformat(entry["at"])
    return Version(version=entry["version"], at=at, items=entry["items"], tags=tuple(entry["tags"]))
