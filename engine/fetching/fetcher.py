"""Fetches a URL: its bytes, or one named error."""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpcore

from oneword.engine.errors import FetchError, FetchFailed, FetchTooLarge, UrlRefused
from oneword.engine.fetching import retrying, urls
from oneword.engine.fetching.config import FetchConfig
from oneword.engine.fetching.network import Clock, GuardedNetwork, NoSuchHost, Resolver
from oneword.engine.fetching.turns import Turns
from oneword.engine.fetching.urls import Url, shown

REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEP_ALIVE_S = 15.0
"""How long an idle connection is kept: servers close theirs after 5 to 75 seconds (Apache, nginx)."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A fetched body.

    Args:
        data: the body.
        url: of the body, after redirects.
        content_type: as the server reports it, unchecked.
    """

    data: bytes = field(repr=False)
    url: str
    content_type: str | None


class _Failure(Exception):
    """A failed try. `passing`: a retry may help; `retry_after`: seconds that the server asked to wait."""

    def __init__(
        self, reason: str, *, passing: bool, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.passing, self.status, self.retry_after = reason, passing, status, retry_after


class Fetcher:
    """Fetches by URL, for any number of threads. Proxies named in the environment are not used.

    Args:
        config: limits.
        getaddrinfo: the resolver.
        ssl_context: trusted certificates; by default the system's and certifi's.
    """

    def __init__(
        self,
        config: FetchConfig | None = None,
        *,
        getaddrinfo: Resolver = socket.getaddrinfo,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.config = config or FetchConfig()
        self._clock = Clock()
        self._turns = Turns(self.config.per_host, self.config.interval)
        self._closed = threading.Event()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or httpcore.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=self.config.keep_alive,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=GuardedNetwork(
                self._clock, allow_private=self.config.allow_private, getaddrinfo=getaddrinfo
            ),
        )
        self._headers: dict[bytes | str, bytes | str] = {
            "User-Agent": self.config.user_agent or f"oneword/{_version()}",
            "Accept": "image/*,*/*;q=0.8",
            # A compressed body of 1 MiB can be a gigabyte; images are compressed already.
            "Accept-Encoding": "identity",
        }

    def fetch(self, url: str) -> Fetched:
        """Fetches a URL.

        Raises:
            UrlRefused: malformed, or it leads where nothing is fetched from.
            FetchTooLarge: more bytes than the cap.
            FetchFailed: the network or the server failed, or the time is up; retried as configured where that may help.
        """
        first = urls.read(url, allow_private=self.config.allow_private)
        self._clock.end = time.monotonic() + self.config.deadline
        tries = 0
        while True:
            tries += 1
            try:
                return self._followed(first)
            except _Failure as failure:
                pause = retrying.wait(self.config, tries, failure.retry_after) if failure.passing else None
                if pause is None or time.monotonic() + pause >= self._clock.end or self._closed.wait(pause):
                    raise _failed(url, failure, tries) from failure

    def close(self) -> None:
        """Closes all connections; fetches that wait for a retry fail."""
        self._closed.set()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _followed(self, url: Url) -> Fetched:
        """One try, redirects included."""
        came_from = ""
        for _ in range(self.config.redirects + 1):
            try:
                got = self._asked(url)
                if isinstance(got, Fetched):
                    return got
                came_from = f"; redirected to from {shown(str(url))}"
                url = urls.redirected(url, got, allow_private=self.config.allow_private)
            except UrlRefused as error:
                raise UrlRefused(f"{error}{came_from}") from error
        raise _Failure(f"redirected more than {self.config.redirects} times", passing=False)

    def _asked(self, url: Url) -> Fetched | str:
        """One request: returns the body, or the location that it redirects to."""
        target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        timeout = {
            "connect": self.config.connect_timeout,
            "read": self.config.read_timeout,
            "write": self.config.read_timeout,
        }
        with self._turns.turn(url.host) as waited:
            self._clock.end += waited
            try:
                with self._pool.stream(
                    "GET", target, headers={"Host": url.authority, **self._headers}, extensions={"timeout": timeout}
                ) as response:
                    return self._answer(url, response)
            except UrlRefused as error:
                raise UrlRefused(f"{shown(str(url))}: {error}") from error
            except httpcore.TimeoutException as error:
                most = f"a fetch may take {self.config.deadline:g} s"
                raise _Failure(f"too slow ({_named(error)}): {most}", passing=True) from error
            except NoSuchHost as error:
                raise _Failure(str(error), passing=error.passing) from error
            except httpcore.ConnectError as error:
                cause = error.args[0] if error.args else None
                if isinstance(cause, ssl.SSLCertVerificationError):
                    reason = f"the certificate is not trusted ({cause.verify_message})"
                    raise _Failure(reason, passing=False) from error
                raise _Failure(f"no connection ({_named(error)})", passing=True) from error
            except (httpcore.NetworkError, httpcore.ProtocolError) as error:
                raise _Failure(f"the connection broke ({_named(error)})", passing=True) from error

    def _answer(self, url: Url, response: httpcore.Response) -> Fetched | str:
        status = response.status
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if status in REDIRECTS and "location" in headers:
            return _location(headers["location"])
        if status != 200:
            retry_after = retrying.retry_after(headers.get("retry-after"))
            raise _Failure(
                f"the server answered {status}, expected 200",
                passing=retrying.is_passing(status),
                status=status,
                retry_after=retry_after,
            )
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            reason = (
                f"the server sent it compressed ({encoding[:40]!a}), expected the identity encoding that was asked for"
            )
            raise _Failure(reason, passing=False, status=status)
        return Fetched(
            data=self._body(url, response, headers), url=str(url), content_type=headers.get("content-type") or None
        )

    def _body(self, url: Url, response: httpcore.Response, headers: Mapping[str, str]) -> bytes:
        cap = self.config.max_bytes
        length = headers.get("content-length", "")
        if length.isdigit() and int(length[:19]) > cap:
            raise FetchTooLarge(f"{shown(str(url))}: has {int(length[:19]):,} bytes, expected at most {cap:,}")
        body = bytearray()
        for part in response.iter_stream():
            body += part
            if len(body) > cap:
                raise FetchTooLarge(f"{shown(str(url))}: has more than {cap:,} bytes, the most that is fetched")
        return bytes(body)


def _location(header: str) -> str:
    """Servers write UTF-8 where they should percent-encode."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


def _failed(url: str, failure: _Failure, tries: int) -> FetchError:
    often = f" after {tries} tries" if tries > 1 else ""
    advice = "; try again later" if failure.passing else ""
    if failure.retry_after is not None and failure.passing:
        advice = f"; the server asks to be left alone for {failure.retry_after:,.0f} s"
    return FetchFailed(
        f"{shown(url)}: {failure.reason}{often}{advice}", retryable=failure.passing, status=failure.status, tries=tries
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("oneword")
    except PackageNotFoundError:  # run from a checkout
        return "0"
