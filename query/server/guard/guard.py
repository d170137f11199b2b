"""All that stands between the network and the app, in order."""

import time
from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from oneword.query.server.config import ServerConfig
from oneword.query.server.guard.bodies import Bodies
from oneword.query.server.guard.door import Door
from oneword.query.server.guard.outermost import Net, SafeHeaders
from oneword.query.server.keys.keys import Keys

CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
CORS_HEADERS = ("Authorization", "api-key", "Content-Type", "X-Request-Id", "traceparent", "tracestate")
CORS_EXPOSED = ("X-Request-Id", "Retry-After", "Location", "ETag")


class Guard:
    """The app as strangers may meet it (ASGI).

    From outside in: request id and safe headers, CORS (if any origin is allowed), exceptions as problems, Host and
    Origin, API key, rate, body, and the app. `scope["state"]` has `request_id`, and `principal` but for public paths.
    No WebSockets.
    """

    def __init__(
        self, app: ASGIApp, config: ServerConfig, keys: Keys | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """keys: None: anyone may do anything. clock: seconds, for rates."""
        self._app = app
        self._door = Door(Bodies(app, max_body=config.max_body, seconds=config.body_seconds), config, keys, clock=clock)
        guarded: ASGIApp = Net(self._door)
        if config.cors:
            guarded = CORSMiddleware(
                guarded,
                allow_origins=[origin.rstrip("/").lower() for origin in config.cors],  # as browsers write them
                allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS,
                expose_headers=CORS_EXPOSED,
            )
        self._guarded = SafeHeaders(guarded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})
