"""Authentication and rate limits: the ASGI layer `Auth`, and `needs`, the scope that a route requires."""

import ipaddress
import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

import oneword.query.server.keys as keyring
from oneword.query.server.config import ServerConfig
from oneword.query.server.connections import network
from oneword.query.server.keys import ANYONE, Key, Keys
from oneword.query.server.problem import Problem

log = logging.getLogger(__name__)

PUBLIC = {"/", "/livez", "/readyz", "/openapi.json", "/docs", "/web"}
"""Paths that need no key, as those under /web/ and /docs/."""

GUESSES = 20
"""Wrong keys per minute from one address before it gets 429."""

_HEADERS = {b"host", b"origin", b"authorization", b"api-key"}
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def needs(scope: keyring.Scope) -> Any:
    """A route dependency: the caller, a Key that has this scope.

    >>> @app.delete("/v1/collections/{name}", dependencies=[needs("admin")])
    >>> async def drop(name: str, caller: Annotated[Key, needs("admin")]) -> None: ...

    The dependency raises Problem: 403 `scope_missing`; 401 `key_missing` if the path is one of `PUBLIC`.
    """

    async def caller(request: Request) -> Key:  # async: FastAPI runs other dependencies in threads
        principal: Key | None = request.scope.get("state", {}).get("principal")
        if principal is None:
            raise Problem("key_missing", "an API key is required", headers={"WWW-Authenticate": "Bearer"})
        if not principal.may(scope):
            raise Problem(
                "scope_missing",
                f"this needs the scope {scope!r}; the key {principal.id!r} has {principal.scope!r}",
                remedy=f"Use a key with the scope {scope!r}.",
            )
        return principal

    return Depends(caller)


class Auth:
    """ASGI layer: checks Host, Origin, API key and rate; puts the Key into `scope["state"]["principal"]`.

    Raises Problem: 421 `wrong_host`, 403 `wrong_origin`, 401 `key_missing` and `key_unknown`, 429 `too_many_requests`
    and `too_many_wrong_keys`. An address that has sent too many wrong keys is still admitted with a right one: all
    clients behind a proxy share its address, and one with a revoked key must not lock out the others.
    """

    def __init__(
        self, app: ASGIApp, config: ServerConfig, keys: Keys | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """keys: None: no key is needed, and everything is allowed. clock: seconds."""
        self.app, self.keys = app, keys
        self._hosts, self._origins, self._rate = Hosts(config), Origins(config), config.rate
        self._rates, self._wrong_keys = RateLimiter(clock=clock), RateLimiter(clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers: dict[bytes, list[str]] = {}
            for name, value in scope["headers"]:
                if name in _HEADERS:
                    headers.setdefault(name, []).append(value.decode("latin-1"))
            host = _only(headers.get(b"host"))
            if self.keys is None:
                self._hosts.check(host)
            if origins := headers.get(b"origin"):
                self._origins.check(scope["method"], ", ".join(origins), host)
            path = scope["path"]
            if path not in PUBLIC and not path.startswith(("/web/", "/docs/")):
                principal = self._principal(scope, headers)
                scope.setdefault("state", {})["principal"] = principal
                self._limit(scope, principal)
        await self.app(scope, receive, send)

    def _principal(self, scope: Scope, headers: dict[bytes, list[str]]) -> Key:
        if self.keys is None:
            return ANYONE
        authorization, api_key = headers.get(b"authorization"), headers.get(b"api-key")
        if authorization is None and api_key is None:
            raise Problem("key_missing", "an API key is required", headers={"WWW-Authenticate": "Bearer"})
        repeated = any(values is not None and len(values) > 1 for values in (authorization, api_key))
        principal = None if repeated else self.keys.check(_only(authorization), _only(api_key))
        if principal is not None:
            return principal
        where = address(scope)
        log.warning("wrong API key from %s", where)
        if wait := self._wrong_keys.take(where, GUESSES / 60, burst=GUESSES):
            raise Problem(
                "too_many_wrong_keys", f"more than {GUESSES} wrong API keys in a minute", retry_after=math.ceil(wait)
            )
        raise Problem(
            "key_unknown",
            "the API key is unknown or was revoked",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )

    def _limit(self, scope: Scope, principal: Key) -> None:
        rate = self._rate if principal.rate is None else principal.rate
        if rate is None:
            return
        if wait := self._rates.take(address(scope) if principal is ANYONE else principal.id, rate):
            raise Problem("too_many_requests", f"more than {rate:g} requests a second", retry_after=math.ceil(wait))


class RateLimiter:
    """Token buckets, one per client.

    A bucket is stored as the time at which it will be full again. A full bucket equals a missing one, so evicting the
    least recently used ones rarely loses anything.
    """

    def __init__(self, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        """most: buckets kept. clock: seconds, monotonic."""
        self._most, self._clock = most, clock
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, client: str, rate: float, *, burst: float | None = None) -> float:
        """Takes a token. Returns 0 if there was one, else the seconds until there is one.

        rate: tokens per second, above 0. burst: size of the bucket; None: twice the rate, at least 1.
        """
        now = self._clock()
        filling = max(burst if burst is not None else 2 * rate, 1.0) / rate  # seconds from empty to full
        full = max(self._full.get(client, now), now) + 1 / rate
        wait = full - now - filling
        if wait > 1e-9:  # not rounding, for the last token of a burst
            self._full.move_to_end(client)  # a client that is refused is not evicted for asking again
            return wait
        self._full[client] = full
        self._full.move_to_end(client)
        if len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0


class Hosts:
    """The values of the Host header that a service without keys accepts: a defense against DNS rebinding.

    A page whose own name resolves to this machine has the same origin as the service, but sends its name in Host. IP
    addresses cannot be rebound, so a service that listens on all interfaces accepts all of them.
    """

    def __init__(self, config: ServerConfig) -> None:
        everywhere = config.host in ("0.0.0.0", "::", "")
        own = () if everywhere else (config.host,)
        self._names = {"localhost", "127.0.0.1", "[::1]", *map(_normalized, (*own, *config.hosts))}
        self._addresses = everywhere

    def check(self, host: str | None) -> None:
        """host: the header; None if it is missing or repeated. Raises Problem 421 `wrong_host`."""
        if (name := _name(host)) is not None and (name in self._names or (self._addresses and _is_address(name))):
            return
        found = "missing or repeated" if host is None else repr(host[:100])
        raise Problem("wrong_host", f"the header Host is {found}; expected a name of this service")


class Origins:
    """The values of the Origin header that may send unsafe requests: a defense against cross-site requests."""

    def __init__(self, config: ServerConfig) -> None:
        self._allowed = {origin.rstrip("/").lower() for origin in config.cors}

    def check(self, method: str, origin: str, host: str | None) -> None:
        """origin, host: the headers; host is None if missing. Raises Problem 403 `wrong_origin`."""
        allowed = {"*", origin.lower()} & self._allowed
        if method not in _SAFE_METHODS and not allowed and not _same_origin(origin.lower(), host):
            raise Problem(
                "wrong_origin", f"the header Origin is {origin[:100]!r}, which is not allowed to use this service"
            )


def address(scope: Scope) -> str:
    """The client's network, for rate limits."""
    client = scope.get("client")
    return network(client[0] if client else "")


def _only(values: list[str] | None) -> str | None:
    return values[0] if values and len(values) == 1 else None


def _same_origin(origin: str, host: str | None) -> bool:
    """Whether origin and host match, whatever the scheme: a proxy may turn https into http."""
    scheme, mark, place = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    if host is None or not mark or port is None:
        return False
    return place.removesuffix(port) == host.lower().removesuffix(port) and _name(place) is not None


def _name(host: str | None) -> str | None:
    """The header without its port, or None if it is malformed."""
    match = re.fullmatch(r"(\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(:\d{1,5})?", (host or "").lower())
    return match[1].removesuffix(".") if match else None


def _normalized(host: str) -> str:
    """A name as the operator may write it: with or without port, brackets or scheme."""
    host = urlsplit(host.lower()).netloc if "://" in host else host.lower()
    if _is_address(f"[{host}]"):
        return f"[{host}]"
    return _name(host) or host


def _is_address(name: str) -> bool:
    try:
        found = ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return name.startswith("[") == (found.version == 6)
