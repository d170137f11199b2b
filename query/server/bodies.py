"""The ASGI layer `Bodies`: buffers request bodies, and cancels requests whose client has disconnected."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.problem import Problem

WATCH_AFTER = 0.01
"""Seconds until a task watches for the client's disconnect: most requests are answered before, and need none."""

_WITH_BODY = {"POST", "PUT", "PATCH"}  # may have a body without a header that says so, beyond HTTP/1.1


class Bodies:
    """ASGI layer: reads the whole body within limits of bytes and seconds, and cancels the app on disconnect.

    Raises Problem, before the app runs: 413 `body_too_large`, 408 `body_too_slow`, 415 `body_encoded`, 400
    `malformed`, 503 `busy`. A disconnect is noticed after `WATCH_AFTER`; an app that has sent its whole response is
    not cancelled.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, seconds: float, max_held: int | None = None) -> None:
        """max_body: bytes of one body; max_held: of all together, None: 16 times that. seconds: to receive a body."""
        self.app, self.max_body, self.seconds = app, max_body, seconds
        self.max_held = 16 * max_body if max_held is None else max_held
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await self._read(receive) if self._expected(scope) else b""
        if body is None:
            return
        taken = len(body)
        exchange = Exchange(body, receive, send)
        del body  # the app's from here on
        try:
            await exchange.run(self.app, scope)
        finally:
            self.held -= taken

    def _expected(self, scope: Scope) -> bool:
        """Whether there is a body to read. Raises Problem if its headers say that it is not acceptable."""
        expected = scope["method"] in _WITH_BODY
        encoding = length = b""
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                expected = True
            elif name == b"content-encoding":
                encoding = encoding + b", " + value if encoding else value
        if length:
            if not length.isdigit():
                raise Problem("malformed", "Content-Length is not a number")
            if len(length) > 18 or int(length) > self.max_body:
                raise self._too_large(f"{length.decode()[:24]} bytes")
            expected = expected or int(length) > 0
        if expected and encoding and encoding.strip().lower() != b"identity":
            detail = f"Content-Encoding is {encoding.decode('latin-1')[:100]!r}; expected none"
            raise Problem("body_encoded", detail)
        return expected

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, counted in `held`; None if the client disconnected."""
        body: bytes | bytearray = b""
        held = 0
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        self.held -= held
                        return None
                    piece: bytes = message.get("body", b"")
                    more = message.get("more_body", False)
                    held += len(piece)
                    self.held += len(piece)
                    if held > self.max_body:
                        raise self._too_large("larger")
                    if self.held > self.max_held:
                        detail = "too many large requests are being received"
                        raise Problem("busy", detail)
                    if not more and not body:
                        return piece
                    if not body:
                        body = bytearray()  # pieces may be tiny: a list of them could be 40 times their size
                    body += piece
                    if not more:
                        return bytes(body)
        except TimeoutError:
            self.held -= held
            detail = f"the body was not received within {self.seconds:g} s"
            raise Problem("body_too_slow", detail) from None
        except BaseException:
            self.held -= held
            raise

    def _too_large(self, size: str) -> Problem:
        detail = f"the body is {size}; expected at most {self.max_body} bytes"
        return Problem("body_too_large", detail)


class Exchange:
    """One request in progress."""

    __slots__ = ("_body", "_complete", "_gone", "_over", "_receive", "_send", "_task", "_timer", "_watcher")

    def __init__(self, body: bytes, receive: Receive, send: Send) -> None:
        """body: the whole body. receive: from now on it only reports the disconnect."""
        self._body: bytes | None = body
        self._receive, self._send = receive, send
        self._complete = self._gone = False
        self._over: asyncio.Event | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Runs the app until it ends or its client disconnects."""
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin)
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self._gone or self._task is None or self._task.cancelling() > 1:  # cancelled by something else too
                raise
        finally:
            self._end()
            if self._gone and self._task is not None:
                self._task.uncancel()

    async def receive(self) -> Message:
        """Returns the body first; after that, waits for the disconnect or the end of the response."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._complete and not self._gone:
            self._over = self._over or asyncio.Event()
            self._begin()
            await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Passes on; after the last piece of the response nothing is watched."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._complete = True  # first: servers report a disconnect from here on
            self._end()
        await self._send(message)

    def _begin(self) -> None:
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # The app is waiting, or this would not run; it is cancelled there.
        if not self._complete and self._task is not None:
            self._gone = True
            self._task.cancel()
            if self._over is not None:
                self._over.set()

    def _end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._over is not None:
            self._over.set()
