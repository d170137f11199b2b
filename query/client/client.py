"""The client for ordinary programs."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx

from oneword.query.client.answers import (
    CollectionDetails,
    CollectionSummary,
    File,
    IndexCheck,
    Job,
    StoredItem,
    Upserted,
    Vectors,
)
from oneword.query.client.calls import collections, jobs, searches
from oneword.query.client.calls import items as _items
from oneword.query.client.calls.call import Call
from oneword.query.client.errors import Busy, ClientError
from oneword.query.client.inputs import Input, NewItem
from oneword.query.client.server import CONNECT_SECONDS, Outcome, Server
from oneword.query.query import Parts, Query, Where
from oneword.query.result import SearchResult
from oneword.storage.quarantine import Quarantined
from oneword.storage.versions import Version

T = TypeVar("T")


class Client:
    """A running service. For any number of threads; close it, or use it in a `with`.

    A request is tried again where it was never sent, and on 429 and 503, as long after as `Retry-After` says; one that
    would have to wait more than 30 s fails at once. Writes are tried again only so (they are idempotent by id anyway);
    what only reads also where the connection was lost. Redirects are followed for `original` alone, and the key goes
    to no other server.

    Args:
        url: `http://HOST:PORT` or `https://HOST`, with a path if the service is below one.
        key: an API key; None where the service wants none.
        timeout: seconds to wait for the next bytes of an answer.
        retries: tries after the first one.

    Every method raises ClientError, see `oneword.query.client.errors`. `collection` is always a collection's name;
    `deadline` seconds, of at most the server's own, after which the server gives up; `include` what items have besides
    id and modality: "payload" (uri, text, metadata), "vector", "thumbnail".

    Raises:
        ClientError: the URL or the key cannot be one.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        self._server = Server(url, key, retries=retries)
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            trust_env=not self._server.is_loopback,
        )

    def search(
        self,
        query: str | Query | None = None,
        collection: str = "default",
        *,
        deadline: float | None = None,
        **parts: Unpack[Parts],
    ) -> SearchResult:
        """Nearest neighbours, best first: of words with whatever else `Query.of` takes, or of a whole `Query`.

        Raises:
            BadQuery, FilterError, UnreadableFile: before anything is sent.
        """
        return self._send(searches.search(query, collection, deadline, parts))

    def search_batch(
        self, queries: Iterable[str | Query], collection: str = "default", *, deadline: float | None = None
    ) -> list[SearchResult | ClientError]:
        """Many searches at once, of one version of the collection: for each its result, or why it failed."""
        return self._send(searches.search_batch(queries, collection, deadline))

    def embed(
        self,
        inputs: Sequence[Input],
        *,
        model: str | None = None,
        view: str | None = None,
        side: Literal["gallery", "query"] = "gallery",
        deadline: float | None = None,
    ) -> Vectors:
        """Vectors, float32 (n, d), of n texts and pictures; see `oneword.query.client.inputs.Input`.

        model: an id of the server's list; None: the only one. view: how things are described; None: "default".
        side: "gallery" of what is stored, "query" of what is asked.
        """
        model = self._send(searches.only_model()) if model is None else model
        return self._send(searches.embed(inputs, model, view, side, deadline))

    def upsert(
        self,
        items: Iterable[NewItem | Mapping[str, Any]],
        collection: str = "default",
        *,
        fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> Upserted:
        """Stores items, in place of those of the same ids. Raises Rejected if the server refuses all of them.

        items: `NewItem`s, or mappings of their fields. fingerprint: of the space that their vectors are of, to insist.
        """
        return self._send(_items.upsert(items, collection, fingerprint, deadline))

    def get(
        self, ids: str | Iterable[str], collection: str = "default", *, include: Sequence[str] = ("payload",)
    ) -> dict[str, StoredItem]:
        """The items of these ids; those that are not there are left out."""
        return self._send(_items.get(ids, collection, include))

    def delete(
        self, ids: str | Iterable[str] | None = None, *, where: Where | None = None, collection: str = "default"
    ) -> int:
        """Deletes items by id, or all that pass a filter; how many there were."""
        return self._send(_items.delete(ids, where, collection))

    def count(self, where: Where | None = None, collection: str = "default") -> int:
        """How many items there are, or pass a filter."""
        return self._send(_items.count(where, collection))

    def scroll(
        self,
        where: Where | None = None,
        collection: str = "default",
        *,
        page: int = 100,
        include: Sequence[str] = ("payload",),
    ) -> Iterator[StoredItem]:
        """All items, or those that pass a filter, each once, of one version; `page` of them a request.

        Raises:
            NotThere: the version that was begun with is gone.
        """
        cursor = None
        while True:
            found = self._send(_items.scroll(where, collection, page, cursor, include))
            yield from found.items
            if (cursor := found.cursor) is None:
                return

    def thumbnail(self, id: str, collection: str = "default") -> File:  # noqa: A002 - what it is
        """An item's small picture."""
        return self._send(_items.thumbnail(id, collection))

    def original(self, id: str, collection: str = "default") -> File:  # noqa: A002
        """The file that an item was made from, if it still is what was indexed. Redirects to elsewhere are followed."""
        return self._send(_items.original(id, collection))

    def collections(self) -> list[CollectionSummary]:
        """All collections."""
        return self._send(collections.collections())

    def collection(self, name: str) -> CollectionDetails:
        """One collection, with all there is to know."""
        return self._send(collections.collection(name))

    def create_collection(self, name: str, *, model: str | None = None, view: str | None = None) -> CollectionDetails:
        """Makes an empty collection, of the server's model if none is named. Raises Rejected if there is one."""
        return self._send(collections.create_collection(name, model, view))

    def drop_collection(self, name: str) -> None:
        """Deletes a collection with all its items."""
        self._send(collections.drop_collection(name))

    def verify(self, collection: str = "default") -> IndexCheck:
        """Compares the serving index with its table. Raises Rejected if there is no index."""
        return self._send(collections.verify(collection))

    def build(self, collection: str = "default") -> bool:
        """Begins to build the ANN index; False: one is being built already."""
        return self._send(collections.build(collection))

    def quarantine(self, collection: str = "default", limit: int = 100) -> list[Quarantined]:
        """Inputs of indexing jobs that could not be indexed, and why."""
        return self._send(collections.quarantine(collection, limit))

    def versions(self, collection: str = "default") -> list[Version]:
        """The versions that are kept, oldest first."""
        return self._send(collections.versions(collection))

    def start_job(
        self,
        paths: str | Iterable[str],
        collection: str = "default",
        *,
        model: str | None = None,
        view: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """Starts indexing folders, files or URIs that the server can read and lets jobs read."""
        return self._send(jobs.start_job(collection, paths, model, view, options))

    def job(self, id: str) -> Job:  # noqa: A002
        """How a job stands."""
        return self._send(jobs.job(id))

    def jobs(self, limit: int = 20, collection: str | None = None) -> list[Job]:
        """The newest jobs, newest first."""
        return self._send(jobs.jobs(limit, collection))

    def cancel_job(self, id: str) -> Job:  # noqa: A002
        """Ends a job; what it has committed stays."""
        return self._send(jobs.cancel_job(id))

    def ready(self) -> bool:
        """Whether the service answers searches now. Not tried again on 503: that is the answer."""
        try:
            self._send(jobs.ready())
        except Busy:
            return False
        return True

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._server.url)!r})"

    def _send(self, call: Call[T]) -> T:
        conversation = self._server.ask(call)
        outcome: Outcome = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            outcome = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                outcome = self._http.send(step)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                outcome = error
