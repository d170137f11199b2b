"""Connections to checked addresses only, each of which ends by a deadline.

A name is resolved once for a connection; every address that the resolver gives is checked, and the connection goes to
one of those very addresses. So a name that answers otherwise the next time (DNS rebinding) gains nothing, and a number
in any disguise (`2130706433`, `0x7f.1`) is checked as what the resolver made of it. TLS still asks for the name.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import httpcore

from oneword.engine.errors import UrlRefused
from oneword.engine.fetching.addresses import parsed, refusal
from oneword.engine.fetching.urls import REMEDY

Resolver = Callable[..., list[Any]]
"""`socket.getaddrinfo`, or a replacement."""


class NoSuchHost(Exception):
    """A name has no address. `passing`: the resolver says that it may have one later."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class Clock(threading.local):
    """Deadline of this thread's fetch, in `time.monotonic` seconds."""

    end = float("inf")

    def within(self, timeout: float | None, kind: type[httpcore.TimeoutException]) -> float:
        """Returns the timeout, or the time that is left if that is less; raises `kind` if none is left."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise kind("the fetch's time is up")
        return left if timeout is None else min(timeout, left)


class GuardedNetwork(httpcore.NetworkBackend):
    """An httpcore backend that connects to checked addresses.

    Args:
        clock: the deadline of each thread, which every wait keeps.
        allow_private: see `FetchConfig`.
        getaddrinfo: the resolver.
    """

    def __init__(self, clock: Clock, *, allow_private: bool, getaddrinfo: Resolver = socket.getaddrinfo) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._getaddrinfo = getaddrinfo
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects to the first of the host's addresses that answers.

        Raises:
            UrlRefused: an address of the host may not be connected to; the message starts with the host.
            NoSuchHost: the host has no address.
            httpcore.ConnectError, httpcore.ConnectTimeout: none answered.
        """
        failed: Exception = NoSuchHost(f"{host} has no address", passing=False)
        for address in self._checked(host, self._resolved(host, port, timeout)):
            left = self._clock.within(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return TimedStream(stream, self._clock)
        raise failed

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Refuses: only hosts are connected to."""
        raise UrlRefused("a UNIX socket: expected a host")

    def _resolved(self, host: str, port: int, timeout: float | None) -> list[str]:
        """Returns the host's addresses, each once, in the resolver's order.

        The resolver has no timeout, so it runs in a daemon thread, which is abandoned if it is late.
        """
        answer: Future[list[Any]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            found = answer.result(self._clock.within(timeout, httpcore.ConnectTimeout))
        except socket.gaierror as error:
            passing = error.errno == socket.EAI_AGAIN
            raise NoSuchHost(f"{host} cannot be resolved ({error.strerror or error})", passing=passing) from error
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise NoSuchHost(f"{host} cannot be resolved ({error})", passing=False) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _checked(self, host: str, addresses: list[str]) -> list[str]:
        """Returns the addresses, if all of them may be connected to. One that may not makes the whole host suspect."""
        for address in addresses:
            if why := refusal(parsed(address), allow_private=self._allow_private):
                # Without the address: a stranger would learn what internal names resolve to.
                is_ = "is an address" if address == host else "leads to an address"
                remedy = "" if self._allow_private else f"; {REMEDY}"
                raise UrlRefused(f"{host} {is_} that is {why}: expected public addresses only{remedy}")
        return addresses


class TimedStream(httpcore.NetworkStream):
    """A stream whose waits all end by its thread's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As httpcore's."""
        return self._stream.read(max_bytes, self._clock.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As httpcore's."""
        self._stream.write(buffer, self._clock.within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """As httpcore's."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """As httpcore's."""
        left = self._clock.within(timeout, httpcore.ConnectTimeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._clock)

    def get_extra_info(self, info: str) -> Any:
        """As httpcore's."""
        return self._stream.get_extra_info(info)
