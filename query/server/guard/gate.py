"""How many requests are worked on, and for how long: beyond that they are told so at once."""

import asyncio
import logging
import math
import re
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.config import ServerConfig
from oneword.query.server.metrics import Metrics
from oneword.query.server.problem import Problem

log = logging.getLogger(__name__)

UNHURRIED = re.compile(r"/v1/collections/[^/]+/(verify|build)")
"""Requests that may take as long as they do: they read a whole collection."""


class Gate:
    """ASGI: a bounded number of requests under /v1, each with a deadline; others pass.

    More than the queue holds are told 503 with Retry-After, before any work: a service that promises everybody an
    answer gives nobody one in time. A request that passes its deadline is cancelled, and what it waits for with it.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says. Raises Problem where nothing was sent yet."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        seconds = self._deadline(scope)
        if self._working >= self._config.queue:
            raise Problem(
                503,
                "overloaded",
                f"{self._working} requests are being worked on: expected fewer than {self._config.queue}",
                remedy="Try again after the time that Retry-After says.",
                retry_after=1,
            )
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._working += 1
        self._metrics.working.inc()
        try:
            async with asyncio.timeout(None if UNHURRIED.fullmatch(scope["path"]) else seconds) as clock:
                await self._app(scope, receive, told)
        except TimeoutError:
            if not clock.expired():  # it is of the work: a server that did not answer
                raise
            if begun:
                log.warning("cut off: the answer was not read within %g s", seconds)
                return  # the server closes the connection, as the answer is not complete
            raise Problem(
                504,
                "deadline",
                f"the request took longer than {seconds:g} s",
                remedy="Ask for less at once; a write may have been done all the same.",
            ) from None
        finally:
            self._working -= 1
            self._metrics.working.dec()

    def _deadline(self, scope: Scope) -> float:
        """Seconds: the service's, or fewer if the request says so."""
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("timeout") if scope["query_string"] else None
        if asked is None:
            return self._config.deadline
        try:
            seconds = float(asked[-1])
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= self._config.deadline:
            raise Problem(
                422,
                "invalid_field",
                f"timeout {asked[-1][:40]!r}: expected seconds, above 0 and at most {self._config.deadline:g}",
                remedy="Leave it out, or give fewer seconds.",
                field="timeout",
            )
        return seconds
