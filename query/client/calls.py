"""What the service can be asked: each call described once, with the parameters that both clients take.

`collection` is always a collection's name; `deadline` seconds, of at most the server's own, after which the server
gives up; `include` what items have besides id and modality: "payload" (uri, text, metadata), "vector", "thumbnail".
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack
from urllib.parse import quote

from oneword.engine.encoder import InputType
from oneword.query.client.answers import File, Page, StoredItem, Upserted, Vectors, decode, result_of, vectors_of
from oneword.query.client.errors import ClientError, NotThere
from oneword.query.client.inputs import Input, NewItem, input_of
from oneword.query.client.problems import stated
from oneword.query.errors import BadQuery
from oneword.query.query import Parts, Query, Where
from oneword.query.result import SearchResult
from oneword.query.wire import to_json
from oneword.storage import filter_to_json, parse_filter
from oneword.storage.info import By, CollectionInfo, CollectionSummary, Copies, IndexCheck
from oneword.storage.item import ImageWord
from oneword.storage.journal import Job
from oneword.storage.quarantine import QuarantinedInput
from oneword.storage.versions import Version

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Args:
        path: below the server's URL, quoted.
        read: the value of an answer of 2xx; LookupError, TypeError or ValueError say that it is none.
        json: the body.
        params: of the URL's query.
        writes: it changes something; so it is not sent again where it may have been done.
        busy: the value of 429 and 503, which otherwise are tried again.
        redirected: redirects are followed, without the key where they lead to another server.
    """

    method: str
    path: str
    read: "Callable[[httpx.Response], T]"
    json: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
    busy: T | None = None
    redirected: bool = False

    def plan(self) -> "Plan[T]":
        """The plan of this call alone."""
        answer: T = yield self
        return answer


Plan = Generator[Call[Any], Any, T]
"""Calls, each answered with its value; it returns the value of them all."""


def search(
    query: str | Query | None = None,
    collection: str = "default",
    *,
    deadline: float | None = None,
    **parts: Unpack[Parts],
) -> Call[SearchResult]:
    """Nearest neighbors, best first: of words with whatever else `Query.of` takes, or of a whole `Query`.

    Raises:
        BadQuery, FilterError, UnreadableFile: before anything is sent.
    """
    body = to_json(Query.whole(query, parts))
    return _post(f"{_collection(collection)}/search", SearchResult, body, params=_within(deadline))


def search_batch(
    queries: Iterable[str | Query], collection: str = "default", *, deadline: float | None = None
) -> Call[list[SearchResult | ClientError]]:
    """Many searches at once, of one version of the collection: for each its result, or why it failed."""
    documents = [to_json(Query.whole(query)) for query in queries]

    def read(response: "httpx.Response") -> list[SearchResult | ClientError]:
        results = response.json()["results"]
        if len(results) != len(documents):
            raise ValueError(f"{len(results)} results: expected {len(documents)}")
        return [stated(one["error"]) if "error" in one else result_of(one) for one in results]

    path = f"{_collection(collection)}/search:batch"
    return Call(method="POST", path=path, json={"queries": documents}, read=read, params=_within(deadline))


def embed(
    inputs: Sequence[Input],
    *,
    model: str | None = None,
    view: str | None = None,
    input_type: InputType = "document",
    deadline: float | None = None,
) -> Plan[Vectors]:
    """Vectors, float32 (n, d), of n texts and images; see `oneword.query.client.inputs.Input`.

    model: an id of the server's list; None: the only one. view: how things are described; None: "default".
    input_type: "document" for what is stored, "query" for what is asked.
    """
    documents = [input_of(one) for one in ([inputs] if isinstance(inputs, str) else inputs)]
    if not documents:
        raise BadQuery("nothing to embed: expected at least one text or image")
    body = {"input": documents, "encoding_format": "base64", "input_type": input_type} | _given(view=view)

    def plan() -> Plan[Vectors]:
        names = [model] if model is not None else [one["id"] for one in (yield _get("/v1/models", list[Any], "data"))]
        if len(names) != 1:
            raise NotThere(f"the server has {len(names)} models ({', '.join(names)}): say which, by `model`")
        vectors: Vectors = yield Call(
            method="POST",
            path="/v1/embeddings",
            json=body | {"model": names[0]},
            read=lambda answer: vectors_of(answer.json(), len(documents)),
            params=_within(deadline),
        )
        return vectors

    return plan()


def upsert(
    items: Iterable[NewItem | Mapping[str, Any]],
    collection: str = "default",
    *,
    fingerprint: str | None = None,
    deadline: float | None = None,
) -> Call[Upserted]:
    """Stores items, in place of those of the same ids. Raises Rejected if the server refuses all of them.

    items: `NewItem`s, or mappings of their fields. fingerprint: of the space that their vectors are of, to insist.
    """
    body = {"items": [NewItem.of(item).as_json() for item in items]} | _given(fingerprint=fingerprint)
    return _post(f"{_collection(collection)}/items", Upserted, body, params=_within(deadline), writes=True)


def get(
    ids: str | Iterable[str], collection: str = "default", *, include: Sequence[str] = ("payload",)
) -> Call[dict[str, StoredItem]]:
    """The items of these ids; those that are not there are left out."""

    def read(response: "httpx.Response") -> dict[str, StoredItem]:
        return {one["id"]: decode(StoredItem, one) for one in response.json()["items"]}

    body = {"ids": _ids(ids), "with": list(include)}
    return Call(method="POST", path=f"{_collection(collection)}/items:get", json=body, read=read)


def delete(
    ids: str | Iterable[str] | None = None, *, where: Where | None = None, collection: str = "default"
) -> Call[int]:
    """Deletes items by id, or all that pass a filter; how many there were."""
    if (ids is None) == (where is None):
        raise BadQuery("delete takes ids or a filter, one of the two; drop_collection deletes everything")
    body = _filter(where) if ids is None else {"ids": _ids(ids)}
    return _post(f"{_collection(collection)}/items:delete", int, body, "deleted", writes=True)


def count(where: Where | None = None, collection: str = "default") -> Call[int]:
    """How many items there are, or pass a filter."""
    return _post(f"{_collection(collection)}/items:count", int, _filter(where), "count")


def page(where: Where | None, collection: str, size: int, cursor: str | None, include: Sequence[str]) -> Call[Page]:
    """POST /v1/collections/NAME/items:scroll."""
    body = _filter(where) | _given(cursor=cursor) | {"limit": size, "with": list(include)}
    return _post(f"{_collection(collection)}/items:scroll", Page, body)


def thumbnail(id: str, collection: str = "default") -> Call[File]:  # noqa: A002 - what it is
    """An item's small image."""
    return Call(method="GET", path=f"{_collection(collection)}/items/{_segment(id)}/thumbnail", read=_file)


def words(
    id: str,  # noqa: A002
    collection: str = "default",
    *,
    keywords: str | None = None,
) -> Call[list[ImageWord] | None]:
    """The words that an image shows, or those that a keyword matches; None: they were not looked for."""
    path = f"{_collection(collection)}/items/{_segment(id)}/words"

    def read(response: "httpx.Response") -> list[ImageWord] | None:
        found = response.json()["words"]
        return None if found is None else decode(list[ImageWord], found)

    return Call(method="GET", path=path, params=_given(keywords=keywords), read=read)


def original(id: str, collection: str = "default") -> Call[File]:  # noqa: A002
    """The file that an item was made from, if it still is what was indexed. Redirects to elsewhere are followed."""
    path = f"{_collection(collection)}/items/{_segment(id)}/original"
    return Call(method="GET", path=path, read=_file, redirected=True)


def collections() -> Call[list[CollectionSummary]]:
    """All collections."""
    return _get("/v1/collections", list[CollectionSummary], "collections")


def collection(name: str) -> Call[CollectionInfo]:
    """One collection, with all there is to know."""
    return _get(_collection(name), CollectionInfo)


def create_collection(name: str, *, model: str | None = None, view: str | None = None) -> Call[CollectionInfo]:
    """Makes an empty collection, of the server's model if none is named. Raises Rejected if there is one."""
    body = {"name": name} | _given(model=model, view=view)
    return _post("/v1/collections", CollectionInfo, body, writes=True)


def drop_collection(name: str) -> Call[None]:
    """Deletes a collection with all its items."""
    return Call(method="DELETE", path=_collection(name), read=lambda _: None, writes=True)


def verify(collection: str = "default") -> Call[IndexCheck]:
    """Compares the ANN index with its table. Raises Rejected if there is no index."""
    return _post(f"{_collection(collection)}/verify", IndexCheck)


def build(collection: str = "default") -> Call[bool]:
    """Begins to build the ANN index; False: one is being built already."""
    return _post(f"{_collection(collection)}/build", bool, None, "building", writes=True)


def quarantine(collection: str = "default", limit: int = 100) -> Call[list[QuarantinedInput]]:
    """Inputs of indexing jobs that could not be indexed, and why."""
    path = f"{_collection(collection)}/quarantine"
    return _get(path, list[QuarantinedInput], "quarantined", params={"limit": str(limit)})


def duplicates(
    collection: str = "default", *, by: By = "pixels", threshold: float | None = None, limit: int = 100
) -> Call[list[Copies]]:
    """Exact and near copies among the images, the largest group first, in each the one to keep. Deletes nothing."""
    params = {"by": by, "limit": str(limit)} | _given(threshold=None if threshold is None else f"{threshold:g}")
    return _get(f"{_collection(collection)}/duplicates", list[Copies], "groups", params=params)


def versions(collection: str = "default") -> Call[list[Version]]:
    """The versions that are kept, oldest first."""
    return _get(f"{_collection(collection)}/versions", list[Version], "versions")


def start_job(
    paths: str | Iterable[str],
    collection: str = "default",
    *,
    model: str | None = None,
    view: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Call[Job]:
    """Starts indexing folders, files or URIs that the server can read and lets jobs read."""
    named = [paths] if isinstance(paths, str) else [str(path) for path in paths]
    body = {"collection": collection, "paths": named} | _given(model=model, view=view, options=options)
    return _post("/v1/jobs", Job, body, writes=True)


def job(id: str) -> Call[Job]:  # noqa: A002
    """How a job stands."""
    return _get(f"/v1/jobs/{_segment(id)}", Job)


def jobs(limit: int = 20, collection: str | None = None) -> Call[list[Job]]:
    """The newest jobs, newest first."""
    return _get("/v1/jobs", list[Job], "jobs", params={"limit": str(limit)} | _given(collection=collection))


def cancel_job(id: str) -> Call[Job]:  # noqa: A002
    """Ends a job; what it has committed stays."""
    return _post(f"/v1/jobs/{_segment(id)}:cancel", Job, writes=True)


def ready() -> Call[bool]:
    """Whether the service answers searches now. Not tried again on 503: that is the answer."""
    return Call(method="GET", path="/readyz", read=lambda _: True, busy=False)


def _get(path: str, kind: type[T], name: str | None = None, **more: Any) -> Call[T]:
    return Call(method="GET", path=path, read=_reader(kind, name), **more)


def _post(
    path: str, kind: type[T], json: Mapping[str, Any] | None = None, name: str | None = None, **more: Any
) -> Call[T]:
    return Call(method="POST", path=path, read=_reader(kind, name), json=json, **more)


def _reader(kind: type[T], name: str | None) -> "Callable[[httpx.Response], T]":
    """Reads JSON of that kind, or that is in the field `name`."""
    return lambda response: decode(kind, response.json() if name is None else response.json()[name])


def _file(response: "httpx.Response") -> File:
    kind = response.headers.get("content-type", "application/octet-stream")
    return File(content=response.content, media_type=kind.partition(";")[0].strip())


def _collection(name: str) -> str:
    """The path of a collection."""
    return f"/v1/collections/{_segment(name)}"


def _segment(name: str) -> str:
    """One segment of a path, whatever is in it: a slash, a question mark, or dots, which would lead upwards."""
    try:
        quoted = quote(name, safe="")
    except (TypeError, UnicodeEncodeError) as error:
        raise BadQuery(f"{name!r}: expected a name or an id, as text") from error
    if not quoted:
        raise BadQuery("a name or an id is empty: expected at least one character")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _given(**values: Any) -> dict[str, Any]:
    """Those fields that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _within(deadline: float | None) -> dict[str, str]:
    """The URL's query for a deadline in seconds."""
    return {} if deadline is None else {"timeout": f"{deadline:g}"}


def _ids(ids: str | Iterable[str]) -> list[str]:
    """One id or many, as a list."""
    return [ids] if isinstance(ids, str) else list(ids)


def _filter(where: Where | None) -> dict[str, Any]:
    """The body's `filter`, if there is one. Raises FilterError."""
    return {} if where is None else {"filter": filter_to_json(parse_filter(where))}
