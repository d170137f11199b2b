"""What the service answers besides search results."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from oneword.query.client.errors import ClientError
from oneword.query.client.problems import stated
from oneword.query.wire import attached

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """An answer whose fields are named as in the JSON. Those that we do not know are left out."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Reads a JSON object. Raises LookupError, TypeError or ValueError if it is no such answer."""
        return cls(**{one.name: document[one.name] for one in fields(cls) if one.name in document})


@dataclass(frozen=True, kw_only=True)
class StoredItem:
    """An item of a collection.

    Args:
        uri, text, metadata: the payload; times in metadata are text in ISO 8601.
        vector: float32 (d,), unit length, if it was asked for.
        thumbnail: an encoded small picture, if it was asked for and there is one.
    """

    id: str
    modality: str
    uri: str = ""
    text: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: Vectors | None = field(default=None, repr=False, compare=False)
    thumbnail: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "StoredItem":
        """Reads an item's JSON. Raises LookupError, TypeError or ValueError if it is none."""
        return cls(
            id=document["id"],
            modality=document["modality"],
            uri=document.get("uri") or "",
            text=document.get("text"),
            metadata=document.get("metadata") or {},
            **attached(document),
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of a collection's items, and where the next ones begin; None: there are none."""

    items: tuple[StoredItem, ...]
    cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one item of an upsert. error: why it was refused."""

    id: str | None
    status: Literal["added", "updated", "refused"]
    error: ClientError | None = None


@dataclass(frozen=True, kw_only=True)
class Upserted:
    """What an upsert did: how many of each, and each item's outcome, in the order given."""

    added: int
    updated: int
    refused: int
    version: int
    items: tuple[Outcome, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Upserted":
        """Reads the answer to an upsert. Raises LookupError or TypeError if it is none."""
        counts = {name: document[name] for name in ("added", "updated", "refused", "version")}
        items = tuple(
            Outcome(id=one.get("id"), status=one["status"], error=stated(one["error"]) if one.get("error") else None)
            for one in document["items"]
        )
        return cls(items=items, **counts)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file's bytes. media_type: "image/jpeg" and the like."""

    content: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, kw_only=True)
class CollectionSummary(_Known):
    """A collection in a list. dimension: of its vectors."""

    name: str
    items: int
    model: str
    view: str
    dimension: int
    version: int


@dataclass(frozen=True, kw_only=True)
class CollectionDetails(CollectionSummary):
    """A collection.

    Args:
        by_modality: items of each.
        space: what its vectors are made by; see `engine.Space`.
        metadata_keys: what metadata its items have, and of what kinds.
        quarantined: inputs that could not be indexed.
        index: its serving index; None: it has none.
        created, updated: ISO 8601.
    """

    by_modality: Mapping[str, int] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    metadata_keys: Any = None
    quarantined: int = 0
    index: Mapping[str, Any] | None = None
    created: str | None = None
    updated: str | None = None
    bytes_on_disk: int | None = None


@dataclass(frozen=True, kw_only=True)
class IndexCheck(_Known):
    """A serving index compared with its table; see `oneword.storage.ann.check.Check`. right: nothing is wrong."""

    right: bool
    recall: float
    goal: float
    rows: int
    missing: int
    extra: int
    stale: int
    fresh: int
    differing: int
    damaged: Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """An indexing job. counts: what it counted (inputs, indexed, ...). message: mostly why it failed."""

    id: str
    collection: str
    state: Literal["starting", "running", "done", "interrupted", "failed", "killed"]
    started: datetime
    updated: datetime
    ended: datetime | None
    counts: Mapping[str, Any]
    message: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state not in ("starting", "running")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Job":
        """Reads a job's JSON. Raises LookupError, TypeError or ValueError if it is none."""
        started = datetime.fromisoformat(document["started"])
        updated, ended = document.get("updated"), document.get("ended")
        return cls(
            id=document["id"],
            collection=document["collection"],
            state=document["state"],
            started=started,
            updated=datetime.fromisoformat(updated) if updated else started,
            ended=datetime.fromisoformat(ended) if ended else None,
            counts=document.get("counts") or {},
            message=document.get("message") or "",
        )


def vectors_of(document: Mapping[str, Any], count: int) -> Vectors:
    """The vectors of an answer of `/v1/embeddings`, float32 (count, d), put in the order of the inputs.

    Raises:
        LookupError, TypeError, ValueError: another count, rows of unlike length, or an index that stands twice.
    """
    rows: dict[int, Vectors] = {}
    for entry in document["data"]:
        packed = base64.b64decode(entry["embedding"], validate=True)
        rows[entry["index"]] = np.frombuffer(packed, dtype="<f4").astype(np.float32)
    if sorted(rows) != list(range(count)) or len(document["data"]) != count:
        raise ValueError(
            f"{len(document['data'])} embeddings of indexes {sorted(rows)[:10]}: expected 0 to {count - 1}"
        )
    return np.stack([rows[index] for index in range(count)])
