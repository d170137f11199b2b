"""Large answers go out piece by piece, and count as held until their clients have read them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.problem import Problem

PIECE = 256 * 2**10
"""Bytes that are handed to the connection at a time: what a client does not read stays here, not in its buffer."""


class Held:
    """Bytes of large answers in memory, over all requests. Use it from one event loop."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    @contextmanager
    def counted(self, size: int) -> Iterator[None]:
        """Counts so many bytes for the length of the block; small answers always find room.

        Raises:
            Problem: 503 `busy`, if all of them would be more than `most`.
        """
        if size > PIECE and self.bytes + size > self.most:
            detail = f"{self.bytes:,} bytes of large answers are being read by their clients: no room for {size:,}"
            raise Problem(503, "busy", detail, remedy="Try again later, or ask for less at once.", retry_after=1.0)
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size


class Outflow:
    """ASGI middleware: sends bodies in pieces, each when the connection has room for it."""

    def __init__(self, app: ASGIApp, held: Held) -> None:
        self.app, self._held = app, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says. Raises Problem, before anything is sent, where too many large answers are held."""
        with ExitStack() as counted:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    counted.enter_context(self._held.counted(_length(message)))
                    await send(message)
                    return
                body = memoryview(message.get("body", b""))
                for at in range(0, max(1, len(body)), PIECE):
                    more = message.get("more_body", False) or at + PIECE < len(body)
                    await send({"type": message["type"], "body": bytes(body[at : at + PIECE]), "more_body": more})

            await self.app(scope, receive, sending if scope["type"] == "http" else send)


def _length(start: Message) -> int:
    """Bytes of the body that follows, as its headers have it."""
    return next((int(value) for name, value in start.get("headers", ()) if name.lower() == b"content-length"), 0)
