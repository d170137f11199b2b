"""The ASGI layer `Load`: limits on concurrent requests, their time, and the memory of responses not read yet."""

import asyncio
import logging
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.config import ServerConfig
from oneword.query.server.problem import Problem
from oneword.query.server.telemetry import Metrics

log = logging.getLogger(__name__)

NO_DEADLINE = re.compile(r"/v1/collections/[^/]+/(verify|build|duplicates)")
"""Paths without a deadline: they read a whole collection."""

PIECE = 256 * 2**10
"""Bytes of a response that are handed to the connection at a time; the rest waits here, not in its buffer."""


class ResponseMemory:
    """Bytes of large responses in memory, over all requests. Use it from one event loop."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    @contextmanager
    def counted(self, size: int) -> Iterator[None]:
        """Counts `size` bytes during the block; responses of up to one piece are always admitted.

        Raises:
            Problem: 503 `busy`, if the total would exceed `most`.
        """
        if size > PIECE and self.bytes + size > self.most:
            detail = f"{self.bytes:,} bytes of large responses are still being read: there is no room for {size:,}"
            raise Problem("busy", detail)
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size


class Load:
    """ASGI layer: bounds the number of concurrent requests under /v1, their time, and unread responses.

    A request beyond `queue` gets 503 with Retry-After before any work. A request that exceeds its deadline is
    cancelled. Responses are sent in pieces, each when the connection has room for it. Raises Problem if nothing was
    sent yet.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig, metrics: Metrics, memory: ResponseMemory) -> None:
        self._app, self._config, self._metrics, self._memory = app, config, metrics, memory
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with ExitStack() as counted:
            begun = False

            async def sending(message: Message) -> None:
                nonlocal begun
                if message["type"] == "http.response.start":
                    counted.enter_context(self._memory.counted(_length(message)))
                    begun = True
                    await send(message)
                    return
                body = memoryview(message.get("body", b""))
                for at in range(0, max(1, len(body)), PIECE):
                    more = message.get("more_body", False) or at + PIECE < len(body)
                    await send({"type": message["type"], "body": bytes(body[at : at + PIECE]), "more_body": more})

            if not scope["path"].startswith("/v1/"):
                await self._app(scope, receive, sending)
                return
            seconds = self._deadline(scope)
            if self._working >= self._config.queue:
                raise Problem(
                    "overloaded", f"{self._working} requests are in progress: the limit is {self._config.queue}"
                )
            self._working += 1
            self._metrics.working.inc()
            try:
                async with asyncio.timeout(None if NO_DEADLINE.fullmatch(scope["path"]) else seconds) as clock:
                    await self._app(scope, receive, sending)
            except TimeoutError:
                if not clock.expired():  # raised by the work itself
                    raise
                if begun:
                    log.warning("response cut off: it was not read within %g s", seconds)
                    return  # the server closes the connection, as the response is incomplete
                raise Problem("deadline", f"the request took longer than {seconds:g} s") from None
            finally:
                self._working -= 1
                self._metrics.working.dec()

    def _deadline(self, scope: Scope) -> float:
        """Seconds: the service's deadline, or the query parameter `timeout`."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("timeout") if scope["query_string"] else None
        if given is None:
            return self._config.deadline
        try:
            seconds = float(given[-1])
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= self._config.deadline:
            raise Problem(
                "invalid_field",
                f"timeout {given[-1][:40]!r}: expected seconds, above 0 and at most {self._config.deadline:g}",
                remedy="Leave it out, or give fewer seconds.",
                field="timeout",
            )
        return seconds


def _length(start: Message) -> int:
    """Bytes of the body, by Content-Length."""
    return next((int(value) for name, value in start.get("headers", ()) if name.lower() == b"content-length"), 0)
