"""The client for asyncio and trio."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, Unpack

import anyio
import anyio.to_thread
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


class AsyncClient:
    """A running service, for programs on asyncio or trio: `oneword.query.client.Client`, to be awaited.

    Pictures are read and written in threads, so that the event loop goes on. Close it by `aclose`, or use it in an
    `async with`.

    Args and Raises: as `Client`'s.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        self._server = Server(url, key, retries=retries)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            trust_env=not self._server.is_loopback,
        )

    async def search(
        self,
        query: str | Query | None = None,
        collection: str = "default",
        *,
        deadline: float | None = None,
        **parts: Unpack[Parts],
    ) -> SearchResult:
        """As `Client.search`."""
        return await self._built(searches.search, query, collection, deadline, parts)

    async def search_batch(
        self, queries: Iterable[str | Query], collection: str = "default", *, deadline: float | None = None
    ) -> list[SearchResult | ClientError]:
        """As `Client.search_batch`."""
        return await self._built(searches.search_batch, queries, collection, deadline)

    async def embed(
        self,
        inputs: Sequence[Input],
        *,
        model: str | None = None,
        view: str | None = None,
        side: Literal["gallery", "query"] = "gallery",
        deadline: float | None = None,
    ) -> Vectors:
        """As `Client.embed`."""
        model = await self._send(searches.only_model()) if model is None else model
        return await self._built(searches.embed, inputs, model, view, side, deadline)

    async def upsert(
        self,
        items: Iterable[NewItem | Mapping[str, Any]],
        collection: str = "default",
        *,
        fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> Upserted:
        """As `Client.upsert`."""
        return await self._built(_items.upsert, items, collection, fingerprint, deadline)

    async def get(
        self, ids: str | Iterable[str], collection: str = "default", *, include: Sequence[str] = ("payload",)
    ) -> dict[str, StoredItem]:
        """As `Client.get`."""
        return await self._send(_items.get(ids, collection, include))

    async def delete(
        self, ids: str | Iterable[str] | None = None, *, where: Where | None = None, collection: str = "default"
    ) -> int:
        """As `Client.delete`."""
        return await self._send(_items.delete(ids, where, collection))

    async def count(self, where: Where | None = None, collection: str = "default") -> int:
        """As `Client.count`."""
        return await self._send(_items.count(where, collection))

    async def scroll(
        self,
        where: Where | None = None,
        collection: str = "default",
        *,
        page: int = 100,
        include: Sequence[str] = ("payload",),
    ) -> AsyncIterator[StoredItem]:
        """As `Client.scroll`."""
        cursor = None
        while True:
            found = await self._send(_items.scroll(where, collection, page, cursor, include))
            for item in found.items:
                yield item
            if (cursor := found.cursor) is None:
                return

    async def thumbnail(self, id: str, collection: str = "default") -> File:  # noqa: A002 - what it is
        """As `Client.thumbnail`."""
        return await self._send(_items.thumbnail(id, collection))

    async def original(self, id: str, collection: str = "default") -> File:  # noqa: A002
        """As `Client.original`."""
        return await self._send(_items.original(id, collection))

    async def collections(self) -> list[CollectionSummary]:
        """As `Client.collections`."""
        return await self._send(collections.collections())

    async def collection(self, name: str) -> CollectionDetails:
        """As `Client.collection`."""
        return await self._send(collections.collection(name))

    async def create_collection(
        self, name: str, *, model: str | None = None, view: str | None = None
    ) -> CollectionDetails:
        """As `Client.create_collection`."""
        return await self._send(collections.create_collection(name, model, view))

    async def drop_collection(self, name: str) -> None:
        """As `Client.drop_collection`."""
        await self._send(collections.drop_collection(name))

    async def verify(self, collection: str = "default") -> IndexCheck:
        """As `Client.verify`."""
        return await self._send(collections.verify(collection))

    async def build(self, collection: str = "default") -> bool:
        """Begins to build the ANN index; False: one is being built already."""
        return await self._send(collections.build(collection))

    async def quarantine(self, collection: str = "default", limit: int = 100) -> list[Quarantined]:
        """Inputs of indexing jobs that could not be indexed, and why."""
        return await self._send(collections.quarantine(collection, limit))

    async def versions(self, collection: str = "default") -> list[Version]:
        """The versions that are kept, oldest first."""
        return await self._send(collections.versions(collection))

    async def start_job(
        self,
        paths: str | Iterable[str],
        collection: str = "default",
        *,
        model: str | None = None,
        view: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """As `Client.start_job`."""
        return await self._send(jobs.start_job(collection, paths, model, view, options))

    async def job(self, id: str) -> Job:  # noqa: A002
        """As `Client.job`."""
        return await self._send(jobs.job(id))

    async def jobs(self, limit: int = 20, collection: str | None = None) -> list[Job]:
        """As `Client.jobs`."""
        return await self._send(jobs.jobs(limit, collection))

    async def cancel_job(self, id: str) -> Job:  # noqa: A002
        """As `Client.cancel_job`."""
        return await self._send(jobs.cancel_job(id))

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            await self._send(jobs.ready())
        except Busy:
            return False
        return True

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._server.url)!r})"

    async def _built(self, description: Callable[..., Call[T]], *arguments: Any) -> T:
        """Sends a call whose description may read files and write pictures."""
        return await self._send(await anyio.to_thread.run_sync(description, *arguments))

    async def _send(self, call: Call[T]) -> T:
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
                await anyio.sleep(step)
                continue
            try:
                outcome = await self._http.send(step)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                outcome = error
