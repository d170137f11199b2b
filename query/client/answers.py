"""What the service answers: its JSON as the dataclasses that declare it, here, in `query.result` and in `storage`."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from oneword.query.client.errors import ClientError
from oneword.query.client.problems import stated
from oneword.query.result import Hit, SearchResult

T = TypeVar("T")
Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class StoredItem:
    """An item of a collection.

    Args:
        uri, text, image_text, metadata: the payload; times in metadata are text in ISO 8601.
        vector: float32 (d,), unit length, if it was asked for.
        thumbnail: an encoded small image, if it was asked for and there is one.
    """

    id: str
    modality: str
    uri: str = ""
    text: str | None = None
    image_text: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: Vectors | None = field(default=None, repr=False, compare=False)
    thumbnail: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of a collection's items, and where the next ones begin; None: there are none."""

    items: tuple[StoredItem, ...]
    cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one item of an upsert.

    Args:
        error: why it was refused.
        shortened: whether its text is longer than the model reads: its vector is of the beginning.
    """

    id: str | None
    status: Literal["added", "updated", "refused"]
    error: ClientError | None = None
    shortened: bool = False


@dataclass(frozen=True, kw_only=True)
class Upserted:
    """What an upsert did: how many of each, each item's outcome in the order given, and how many were shortened."""

    added: int
    updated: int
    refused: int
    version: int
    items: tuple[Outcome, ...]
    shortened: int = 0


@dataclass(frozen=True, kw_only=True)
class File:
    """A file's bytes. media_type: "image/jpeg" and the like."""

    content: bytes = field(repr=False)
    media_type: str


def decode(kind: type[T], document: Any) -> T:
    """A JSON value as a value of a type. Fields that are not known are left out; times in metadata stay text.

    Raises:
        LookupError, TypeError, ValueError: it is not such a value.
    """
    return cast("T", _decoded(kind, document))


def _decoded(kind: Any, value: Any) -> Any:
    if kind in _DECODERS:
        return _DECODERS[kind](value)
    if is_dataclass(kind):
        return _object(kind, value)
    args, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        return None if value is None else _decoded(args[0], value)
    if origin in (list, tuple):
        return origin(_decoded(args[0], one) for one in value)
    if origin is np.ndarray:
        return np.asarray(value, dtype=np.float32)
    if kind in (str, int, bool) and not isinstance(value, kind):
        raise TypeError(f"{value!r}: expected {kind.__name__}")
    return value


def _object(kind: Any, document: Mapping[str, Any]) -> Any:
    return kind(**{name: _decoded(of, document[name]) for name, of in _types(kind).items() if name in document})


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, localns={"np": np, "NDArray": NDArray})  # which `query.result` does not import


_DECODERS: dict[Any, Any] = {
    Hit: lambda hit: _object(Hit, {**hit, **(hit.get("explain") or {})}),
    SearchResult: lambda result: _object(
        SearchResult, {**result, **result["timings"], **(result.get("explain") or {})}
    ),
    float: float,
    datetime: datetime.fromisoformat,
    bytes: lambda uri: base64.b64decode(uri.partition("base64,")[2], validate=True),
    ClientError: stated,
}


def result_of(document: Mapping[str, Any]) -> SearchResult:
    """The result of a search. Raises as `decode`."""
    return decode(SearchResult, document)


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
