"""uvicorn's HTTP, with limits for what comes before and after a request's body."""

import asyncio
from enum import Enum

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from oneword.query.server.guard.connections import Connections
from oneword.query.server.guard.outermost import SAFE, new_id
from oneword.query.server.problem import Problem


class Phase(Enum):
    """What a client is to send next."""

    IDLE = "nothing"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"


class HttpProtocol(HttpToolsProtocol):
    """Closes connections whose heads are slow (slowloris) or large, that never stop sending what is refused, or that do
    not read their answers.

    uvicorn (0.54) waits for a head for ever, and keeps as much of it as comes; and an answer until it is read. For
    `uvicorn.Config(http=HttpProtocol, ws="none")`.
    """

    seconds = 10.0  # from a head's first byte (or the connection) to its last; and for a body after its answer
    read_seconds = 60.0  # in which some of an answer must go out; the kernel buffers megabytes, and tells seldom
    max_head = 32 * 2**10  # bytes; nginx takes 32 KiB (4 buffers of 8), Node 16
    max_pipelined = 16  # requests that wait for the one before
    admission: Connections | None = None  # how many there may be; None: any number
    linger = 0.5  # seconds that a connection stays open at the end, if it waits for a request: one may be on its way

    _phase = Phase.HEAD
    _kept = 0  # bytes since the last whole head, or piece of a body: what the parser holds
    _timer: asyncio.TimerHandle | None = None
    _unread = 0  # bytes of answers that were not sent yet, when they were looked at last
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.admission is not None and not self.admission.admitted(self, self.client[0] if self.client else ""):
            detail = f"there are {len(self.admission)} connections, and none of them is idle"
            self._refuse(Problem(503, "too_many_connections", detail, retry_after=1.0))
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.admission is not None:
            self.admission.left(self)
        self._unwatch()
        self._unwatch_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.admission is not None:
            self.admission.heard(self)
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEAD  # blank lines too, which the parser skips
        self._kept += len(data)
        super().data_received(data)
        if self._kept > self.max_head and not self.transport.is_closing():
            self.send_400_response("")
        self._watch()

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        if len(self.pipeline) >= self.max_pipelined:
            raise ValueError("too many requests at once")  # the parser gives up
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:  # trailers are no headers: no proxy in front of us has looked at them
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._kept > self.max_head:  # of which some may be body
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.max_head:
                raise ValueError("too large a head")
        self._phase, self._kept = Phase.BODY, 0
        self._unwatch()  # the next head has its own time
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._kept = 0  # the app's middleware counts it
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase, self._kept = Phase.IDLE, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()
        self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch_reader()  # it reads

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, or read from its body on."""
        return self._phase is not Phase.BODY and not self._answering

    def end(self) -> None:
        """Makes room for another connection."""
        self.transport.close()

    def shutdown(self) -> None:
        """At the service's end. What a client sent before it could know of that is answered."""
        if self._answering:
            super().shutdown()
        else:
            self.loop.call_later(self.linger, super().shutdown)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What the parser cannot read, or too much of it."""
        if self._kept > self.max_head:
            self._refuse(Problem(431, "head_too_large", f"the head is larger than {self.max_head} bytes"))
        else:
            self._refuse(Problem(400, "malformed", "this is not HTTP/1.1 as its standard has it"))

    @property
    def _answering(self) -> bool:
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _watch(self) -> None:
        """Sets a clock where the client is to send something, and none where it waits for us."""
        if self.transport.is_closing():
            self._unwatch()
        elif self._phase is Phase.HEAD or (self._phase is Phase.BODY and not self._answering):
            if self._timer is None:
                self._timer = self.loop.call_later(self.seconds, self._expire)
        else:
            self._unwatch()
            # uvicorn forgets it where a body ends after the answer to it.
            if not self._answering and self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        """Sets a clock where the client has to read."""
        if self._reading is None and (unread := self.transport.get_write_buffer_size()):
            self._unread = unread
            self._reading = self.loop.call_later(self.read_seconds, self._expire_reader)

    def _unwatch_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _expire_reader(self) -> None:
        self._reading = None
        if 0 < self._unread <= self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self._watch_reader()

    def _expire(self) -> None:
        self._timer = None
        if self._answering:  # the head of the next request is slow: this one is answered first
            self._watch()
        elif self._phase is Phase.HEAD and (self._kept or self.cycle is not None):
            self._refuse(Problem(408, "head_too_slow", f"no whole head has come within {self.seconds:g} s"))
        else:
            self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        if not self._answering:
            response = problem.response(request_id := new_id())
            headers = [*response.raw_headers, *SAFE.items(), (b"x-request-id", request_id.encode())]
            lines = [name + b": " + value + b"\r\n" for name, value in (*headers, (b"connection", b"close"))]
            self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", response.body]))
        self.transport.close()
