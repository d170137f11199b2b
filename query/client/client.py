"""The clients: for ordinary programs, and for asyncio and trio."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import anyio
import anyio.to_thread
import httpx

from oneword.query.client import calls
from oneword.query.client.answers import StoredItem
from oneword.query.client.calls import Call, Plan
from oneword.query.client.server import CONNECT_SECONDS, Outcome, Server
from oneword.query.query import Where

T = TypeVar("T")
P = ParamSpec("P")


class Method(Generic[P, T]):
    """A method of both clients, which sends what it describes: one call, or a plan of several."""

    def __init__(self, describe: Callable[P, Call[T] | Plan[T]]) -> None:
        self._describe = describe

    @overload
    def __get__(self, client: None, owner: object) -> Callable[P, Call[T] | Plan[T]]: ...
    @overload
    def __get__(self, client: "Client", owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: object) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: object) -> Callable[P, Any]:
        if client is None:
            return self._describe
        return update_wrapper(partial(client._sent, self._describe), self._describe)


class _Methods:
    search = Method(calls.search)
    search_batch = Method(calls.search_batch)
    embed = Method(calls.embed)
    upsert = Method(calls.upsert)
    get = Method(calls.get)
    delete = Method(calls.delete)
    count = Method(calls.count)
    thumbnail = Method(calls.thumbnail)
    words = Method(calls.words)
    original = Method(calls.original)
    collections = Method(calls.collections)
    collection = Method(calls.collection)
    create_collection = Method(calls.create_collection)
    drop_collection = Method(calls.drop_collection)
    verify = Method(calls.verify)
    build = Method(calls.build)
    quarantine = Method(calls.quarantine)
    duplicates = Method(calls.duplicates)
    versions = Method(calls.versions)
    start_job = Method(calls.start_job)
    job = Method(calls.job)
    jobs = Method(calls.jobs)
    cancel_job = Method(calls.cancel_job)
    ready = Method(calls.ready)
    _page = Method(calls.page)

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        self._server = Server(url, key, retries=retries)
        self._options: dict[str, Any] = {
            "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            "trust_env": not self._server.is_loopback,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._server.url)!r})"


class Client(_Methods):
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

    Every method raises ClientError, see `oneword.query.client.errors`. What they take and return is described in
    `oneword.query.client.calls`.

    Raises:
        ClientError: the URL or the key cannot be one.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        super().__init__(url, key, timeout, retries)
        self._http = httpx.Client(**self._options)

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
        cursor, more = None, True
        while more:
            found = self._page(where, collection, page, cursor, include)
            yield from found.items
            cursor, more = found.cursor, found.cursor is not None

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sent(self, describe: Callable[P, Call[T] | Plan[T]], /, *args: P.args, **named: P.kwargs) -> T:
        conversation = self._server.ask(describe(*args, **named))
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


class AsyncClient(_Methods):
    """`Client`, for programs on asyncio and trio. Close it by `aclose`, or use it in an `async with`.

    Images are read and written in threads, so that the event loop goes on. Args and Raises: as `Client`'s.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        super().__init__(url, key, timeout, retries)
        self._http = httpx.AsyncClient(**self._options)

    async def scroll(
        self,
        where: Where | None = None,
        collection: str = "default",
        *,
        page: int = 100,
        include: Sequence[str] = ("payload",),
    ) -> AsyncIterator[StoredItem]:
        """As `Client.scroll`."""
        cursor, more = None, True
        while more:
            found = await self._page(where, collection, page, cursor, include)
            for item in found.items:
                yield item
            cursor, more = found.cursor, found.cursor is not None

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _sent(self, describe: Callable[P, Call[T] | Plan[T]], /, *args: P.args, **named: P.kwargs) -> T:
        """Sends what is described in a thread: files may be read for it."""
        conversation = self._server.ask(await anyio.to_thread.run_sync(partial(describe, *args, **named)))
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
