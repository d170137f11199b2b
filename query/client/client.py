"""The clients: for ordinary programs, and for asyncio and trio."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from oneword.engine.encoder import InputType
from oneword.query.client import calls
from oneword.query.client.answers import StoredItem, Vectors
from oneword.query.client.calls import Call
from oneword.query.client.errors import Busy
from oneword.query.client.inputs import Input
from oneword.query.client.server import CONNECT_SECONDS, Outcome, Server
from oneword.query.query import Where

T = TypeVar("T")
P = ParamSpec("P")


def _method(call: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """The method of `Client` that sends a call."""

    @wraps(call)
    def method(self: "Client", /, *args: P.args, **named: P.kwargs) -> T:
        return self._send(call(*args, **named))

    return method


def _awaited(call: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Awaitable[T]]":
    """The method of `AsyncClient` that sends a call, which is described in a thread: files may be read for it."""

    @wraps(call)
    async def method(self: "AsyncClient", /, *args: P.args, **named: P.kwargs) -> T:
        return await self._send(await anyio.to_thread.run_sync(partial(call, *args, **named)))

    return method


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

    Every method raises ClientError, see `oneword.query.client.errors`. What they take and return is described in
    `oneword.query.client.calls`.

    Raises:
        ClientError: the URL or the key cannot be one.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        self._server = Server(url, key, retries=retries)
        self._http = httpx.Client(timeout=_timeout(timeout), trust_env=not self._server.is_loopback)

    search = _method(calls.search)
    search_batch = _method(calls.search_batch)
    upsert = _method(calls.upsert)
    get = _method(calls.get)
    delete = _method(calls.delete)
    count = _method(calls.count)
    thumbnail = _method(calls.thumbnail)
    original = _method(calls.original)
    collections = _method(calls.collections)
    collection = _method(calls.collection)
    create_collection = _method(calls.create_collection)
    drop_collection = _method(calls.drop_collection)
    verify = _method(calls.verify)
    build = _method(calls.build)
    quarantine = _method(calls.quarantine)
    versions = _method(calls.versions)
    start_job = _method(calls.start_job)
    job = _method(calls.job)
    jobs = _method(calls.jobs)
    cancel_job = _method(calls.cancel_job)

    def embed(
        self,
        inputs: Sequence[Input],
        *,
        model: str | None = None,
        view: str | None = None,
        input_type: InputType = "document",
        deadline: float | None = None,
    ) -> Vectors:
        """Vectors, float32 (n, d), of n texts and pictures; see `oneword.query.client.inputs.Input`.

        model: an id of the server's list; None: the only one. view: how things are described; None: "default".
        input_type: "document" for what is stored, "query" for what is asked.
        """
        model = self._send(calls.only_model()) if model is None else model
        return self._send(calls.embed(inputs, model, view, input_type, deadline))

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
            found = self._send(calls.page(where, collection, page, cursor, include))
            yield from found.items
            if (cursor := found.cursor) is None:
                return

    def ready(self) -> bool:
        """Whether the service answers searches now. Not tried again on 503: that is the answer."""
        try:
            self._send(calls.is_ready())
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


class AsyncClient:
    """`Client`, for programs on asyncio and trio. Close it by `aclose`, or use it in an `async with`.

    Pictures are read and written in threads, so that the event loop goes on. Args and Raises: as `Client`'s.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 30, retries: int = 3) -> None:
        self._server = Server(url, key, retries=retries)
        self._http = httpx.AsyncClient(timeout=_timeout(timeout), trust_env=not self._server.is_loopback)

    search = _awaited(calls.search)
    search_batch = _awaited(calls.search_batch)
    upsert = _awaited(calls.upsert)
    get = _awaited(calls.get)
    delete = _awaited(calls.delete)
    count = _awaited(calls.count)
    thumbnail = _awaited(calls.thumbnail)
    original = _awaited(calls.original)
    collections = _awaited(calls.collections)
    collection = _awaited(calls.collection)
    create_collection = _awaited(calls.create_collection)
    drop_collection = _awaited(calls.drop_collection)
    verify = _awaited(calls.verify)
    build = _awaited(calls.build)
    quarantine = _awaited(calls.quarantine)
    versions = _awaited(calls.versions)
    start_job = _awaited(calls.start_job)
    job = _awaited(calls.job)
    jobs = _awaited(calls.jobs)
    cancel_job = _awaited(calls.cancel_job)

    async def embed(
        self,
        inputs: Sequence[Input],
        *,
        model: str | None = None,
        view: str | None = None,
        input_type: InputType = "document",
        deadline: float | None = None,
    ) -> Vectors:
        """As `Client.embed`."""
        model = await self._send(calls.only_model()) if model is None else model
        call = partial(calls.embed, inputs, model, view, input_type, deadline)
        return await self._send(await anyio.to_thread.run_sync(call))

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
            found = await self._send(calls.page(where, collection, page, cursor, include))
            for item in found.items:
                yield item
            if (cursor := found.cursor) is None:
                return

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            await self._send(calls.is_ready())
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


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
