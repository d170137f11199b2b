"""Connections: uvicorn's HTTP protocol with time and size limits, and how many there may be."""

import asyncio
import ipaddress
from collections import Counter, OrderedDict
from enum import Enum

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from oneword.query.server.headers import SAFE, new_id
from oneword.query.server.problem import Problem

WANTED = 65_536
"""File descriptors to ask the system for."""

MOST = 10_000
"""Connections at most, however many descriptors there are; each takes some kilobytes."""


class Connections:
    """Limits the number of connections. Use it from one event loop.

    Args:
        most: in all. One address may have half as many: it may be a proxy, or an attacker.
    """

    def __init__(self, most: int) -> None:
        self.most, self.most_each = most, max(1, most // 2)
        self._open: OrderedDict[HttpProtocol, str] = OrderedDict()  # least recently active first
        self._each: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "HttpProtocol", host: str) -> bool:
        """Whether there is room for a new connection; closes the longest idle one if necessary."""
        source = network(host)
        if self._each[source] >= self.most_each and not self._close_idle(source):
            return False
        if len(self._open) >= self.most and not self._close_idle(None):
            return False
        self._open[connection] = source
        self._each[source] += 1
        return True

    def touch(self, connection: "HttpProtocol") -> None:
        """Records activity."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def remove(self, connection: "HttpProtocol") -> None:
        """Removes a closed connection."""
        source = self._open.pop(connection, None)
        if source is not None:
            self._each -= Counter({source: 1})

    def _close_idle(self, source: str | None) -> bool:
        """Closes the longest idle connection, of a source if given. Returns False if there is none."""
        for connection, of in self._open.items():
            if source in (None, of) and connection.idle:
                self.remove(connection)
                connection.end()
                return True
        return False


def network(host: str) -> str:
    """What limits count as one client: an IPv4 address, or a /64 network of IPv6."""
    if ":" not in host:
        return host
    try:
        six = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(six.ipv4_mapped or ipaddress.IPv6Network((six, 64), strict=False))


def available_connections() -> int:
    """The number of connections that there are file descriptors for, after raising the soft limit.

    Half of the descriptors, at most 1,024, are reserved for the store's files and for fetching.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - min(1024, soft // 2)))


class Phase(Enum):
    """What the client has to send next."""

    IDLE = "nothing"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"


class HttpProtocol(HttpToolsProtocol):
    """Closes connections with slow (slowloris) or large heads, endless refused bodies, or unread responses.

    uvicorn (0.54) limits none of these. For `uvicorn.Config(http=HttpProtocol, ws="none")`.
    """

    seconds = 10.0  # to receive a head; and to receive the rest of a body after its response
    read_seconds = 60.0  # in which the client must read something; the kernel buffers megabytes
    max_head = 32 * 2**10  # bytes; nginx: 32 KiB, Node: 16 KiB
    max_pipelined = 16  # requests that wait for the previous one
    admission: Connections | None = None  # None: no limit
    linger = 0.5  # seconds that an idle connection stays open at shutdown: a request may be on its way

    _phase = Phase.HEAD
    _kept = 0  # bytes that the parser holds: since the last head or piece of a body
    _timer: asyncio.TimerHandle | None = None
    _unread = 0  # bytes of responses that were not sent at the last check
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.admission is not None and not self.admission.admit(self, self.client[0] if self.client else ""):
            detail = f"there are {len(self.admission)} connections, none of which is idle"
            self._refuse(Problem("too_many_connections", detail))
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.admission is not None:
            self.admission.remove(self)
        self._unwatch()
        self._unwatch_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.admission is not None:
            self.admission.touch(self)
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEAD  # also for blank lines, which the parser skips
        self._kept += len(data)
        super().data_received(data)
        if self._kept > self.max_head and not self.transport.is_closing():
            self.send_400_response("")
        self._watch()

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        if len(self.pipeline) >= self.max_pipelined:
            raise ValueError("too many requests at once")  # makes the parser fail
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:  # not trailers: a proxy has not checked them
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._kept > self.max_head:  # some of it may be body
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.max_head:
                raise ValueError("too large a head")
        self._phase, self._kept = Phase.BODY, 0
        self._unwatch()  # the next head has its own timer
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._kept = 0  # `Bodies` counts it
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
        self._unwatch_reader()  # the client reads

    @property
    def idle(self) -> bool:
        """Whether no request is in progress; one whose head is incomplete does not count."""
        return self._phase is not Phase.BODY and not self._answering

    def end(self) -> None:
        """Closes the connection to make room for another."""
        self.transport.close()

    def shutdown(self) -> None:
        """Closes at shutdown, after answering what the client sent before."""
        if self._answering:
            super().shutdown()
        else:
            self.loop.call_later(self.linger, super().shutdown)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answers what the parser rejects."""
        if self._kept > self.max_head:
            self._refuse(Problem("head_too_large", f"the request head is larger than {self.max_head} bytes"))
        else:
            self._refuse(Problem("malformed", "this is not valid HTTP/1.1"))

    @property
    def _answering(self) -> bool:
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _watch(self) -> None:
        """Starts a timer if the client has to send something, else stops it."""
        if self.transport.is_closing():
            self._unwatch()
        elif self._phase is Phase.HEAD or (self._phase is Phase.BODY and not self._answering):
            if self._timer is None:
                self._timer = self.loop.call_later(self.seconds, self._check_sender)
        else:
            self._unwatch()
            # uvicorn forgets it if a body ends after its response.
            if not self._answering and self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        """Starts a timer if the client has to read."""
        if self._reading is None and (unread := self.transport.get_write_buffer_size()):
            self._unread = unread
            self._reading = self.loop.call_later(self.read_seconds, self._check_reader)

    def _unwatch_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _check_reader(self) -> None:
        self._reading = None
        if 0 < self._unread <= self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self._watch_reader()

    def _check_sender(self) -> None:
        self._timer = None
        if self._answering:  # the slow head is of the next request: this one is answered first
            self._watch()
        elif self._phase is Phase.HEAD and (self._kept or self.cycle is not None):
            self._refuse(Problem("head_too_slow", f"no whole request head within {self.seconds:g} s"))
        else:
            self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        if not self._answering:
            response = problem.response(request_id := new_id())
            headers = [*response.raw_headers, *SAFE.items(), (b"x-request-id", request_id.encode())]
            lines = [name + b": " + value + b"\r\n" for name, value in (*headers, (b"connection", b"close"))]
            self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", response.body]))
        self.transport.close()
