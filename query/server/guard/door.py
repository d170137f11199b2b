"""Who is let in, and how often."""

import logging
import math
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from oneword.query.server.config import ServerConfig
from oneword.query.server.guard.connections import network
from oneword.query.server.guard.origins import Hosts, Origins
from oneword.query.server.guard.rates import Rates
from oneword.query.server.keys.keys import Keys
from oneword.query.server.keys.principal import ANYONE, Principal
from oneword.query.server.problem import Problem

log = logging.getLogger(__name__)

PUBLIC = {"/", "/livez", "/readyz", "/openapi.json", "/docs", "/web"}
"""Paths that need no key, besides those under /web/ and /docs/."""

GUESSES = 20  # wrong keys a minute from one address; each further is told 429
_HEADERS = {b"host", b"origin", b"authorization", b"api-key"}


class Door:
    """ASGI middleware: lets in whoever may come, with the Principal in `scope["state"]["principal"]`.

    Raises Problem: 421 `wrong_host`, 403 `wrong_origin`, 401 `key_missing` and `key_unknown`, 429 `too_many_requests`
    and `too_many_wrong_keys`. An address that has sent too many wrong keys still comes in with a right one: behind a
    proxy all clients have one address, and one of them with a revoked key must not lock out the others. Guessing a
    key of 256 bits is hopeless at any speed.
    """

    def __init__(
        self, app: ASGIApp, config: ServerConfig, keys: Keys | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """keys: None: anyone may do anything; may be set anew at any time. clock: seconds."""
        self.app, self.keys = app, keys
        self._hosts, self._origins, self._rate = Hosts(config), Origins(config), config.rate
        self._rates, self._wrong = Rates(clock=clock), Rates(clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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

    def _principal(self, scope: Scope, headers: dict[bytes, list[str]]) -> Principal:
        if self.keys is None:
            return ANYONE
        authorization, api_key = headers.get(b"authorization"), headers.get(b"api-key")
        if authorization is None and api_key is None:
            raise Problem(
                401,
                "key_missing",
                "this needs an API key, and there is none",
                remedy="Send the header `Authorization: Bearer KEY`; the operator makes keys.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        twice = any(said is not None and len(said) > 1 for said in (authorization, api_key))
        principal = None if twice else self.keys.check(_only(authorization), _only(api_key))
        if principal is not None:
            return principal
        where = address(scope)
        log.warning("wrong API key from %s", where)
        if wait := self._wrong.take(where, GUESSES / 60, burst=GUESSES):
            raise Problem(
                429,
                "too_many_wrong_keys",
                f"more than {GUESSES} wrong API keys in a minute",
                remedy="Stop, and ask the operator for a key.",
                retry_after=math.ceil(wait),
            )
        raise Problem(
            401,
            "key_unknown",
            "no one has this API key, or not any more",
            remedy="Check the key: `Authorization: Bearer KEY`.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )

    def _limit(self, scope: Scope, principal: Principal) -> None:
        rate = self._rate if principal.rate is None else principal.rate
        if rate is None:
            return
        who = address(scope) if principal is ANYONE else principal.id
        if wait := self._rates.take(who, rate):
            raise Problem(
                429,
                "too_many_requests",
                f"more than {rate:g} requests a second",
                remedy="Try again after the time that Retry-After says.",
                retry_after=math.ceil(wait),
            )


def address(scope: Scope) -> str:
    """Where a request comes from, for limits."""
    client = scope.get("client")
    return network(client[0] if client else "")


def _only(values: list[str] | None) -> str | None:
    return values[0] if values and len(values) == 1 else None
