"""The ASGI layer `Headers`: request ids, security headers, CORS, and problem documents for exceptions."""

import logging
import re
import secrets
from collections.abc import Callable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.problem import Problem

log = logging.getLogger(__name__)

SAFE = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""Headers of every response, unless the app sets a header of that name."""

CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
CORS_HEADERS = ("Authorization", "api-key", "Content-Type", "X-Request-Id", "traceparent", "tracestate")
CORS_EXPOSED = ("X-Request-Id", "Retry-After", "Location", "ETag")

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Headers:
    """ASGI layer: adds a request id and the headers `SAFE` to every response, and turns exceptions into problems.

    The request id is the client's X-Request-Id if it is valid, and is stored in `scope["state"]["request_id"]`. An
    unknown exception is logged with its traceback and becomes an opaque 500. WebSockets are refused.

    Args:
        cors: origins whose pages may call the service; none: no CORS headers.
        draining: whether responses ask the client to close the connection.
    """

    def __init__(self, app: ASGIApp, cors: Sequence[str] = (), draining: Callable[[], bool] = lambda: False) -> None:
        self.app, self._draining = app, draining
        self._inner: ASGIApp = self._caught
        if cors:
            self._inner = CORSMiddleware(
                self._caught,
                allow_origins=[origin.rstrip("/").lower() for origin in cors],  # as browsers write them
                allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS,
                expose_headers=CORS_EXPOSED,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id = given[0] if len(given) == 1 and _ID.fullmatch(given[0]) else new_id().encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                added = {**SAFE, b"x-request-id": request_id}
                headers += [header for header in added.items() if header[0] not in present]
                if self._draining():
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        await self._inner(scope, receive, sending)

    async def _caught(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            problem = Problem.of(error)
            state = scope.setdefault("state", {})
            request_id = state.get("request_id")
            state["problem"] = problem.code  # for the metrics
            if problem.code == "internal":
                what = f"{scope['method']} {scope['path']!r}"
                log.exception("%s failed (request %s)", what, request_id, extra={"request_id": request_id})
            if not started:  # else the server cuts the incomplete response off
                await problem.response(request_id, openai=is_openai(scope["path"]))(scope, receive, send)


def new_id() -> str:
    """A request id: 32 hexadecimal digits, as many as a trace id has."""
    return secrets.token_hex(16)


def is_openai(path: str) -> bool:
    """Whether errors of this path have OpenAI's form."""
    return path in ("/v1/models", "/v1/embeddings") or path.startswith("/v1/models/")
