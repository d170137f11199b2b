"""Which names the service answers to, and whose pages may change anything: against pages that attack from browsers."""

import ipaddress
import re
from urllib.parse import urlsplit

from oneword.query.server.config import ServerConfig
from oneword.query.server.problem import Problem

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(:\d{1,5})?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANYWHERE = ("0.0.0.0", "::", "")
_PORTS = {"http": ":80", "https": ":443"}
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Hosts:
    """Names in the header Host, where there are no keys.

    A page whose own name is made to point here (DNS rebinding) is of one origin with the service for a browser, and
    could read everything; but its requests have its name in Host. Addresses cannot be rebound, so a service that
    listens on all of its machine's answers to all.
    """

    def __init__(self, config: ServerConfig) -> None:
        own = () if config.host in _ANYWHERE else (config.host,)
        self._names = {*_LOOPBACK, *map(_as_name, (*own, *config.hosts))}
        self._addresses = config.host in _ANYWHERE

    def check(self, host: str | None) -> None:
        """host: the header; None if there is none, or more than one. Raises Problem 421 `wrong_host`."""
        if (name := _name(host)) is not None and (name in self._names or (self._addresses and _is_address(name))):
            return
        there = "missing, or there more than once" if host is None else repr(host[:100])
        raise Problem(
            421,
            "wrong_host",
            f"the header Host is {there}; expected a name of this service",
            remedy="Use http://localhost and the port; the operator can allow other names.",
        )


class Origins:
    """Pages that may send requests which change things, by the header Origin that browsers add to those."""

    def __init__(self, config: ServerConfig) -> None:
        self._allowed = {origin.rstrip("/").lower() for origin in config.cors}

    def check(self, method: str, origin: str | None, host: str | None) -> None:
        """origin, host: the headers; None if missing. Raises Problem 403 `wrong_origin`."""
        if origin is None or method in _SAFE_METHODS:
            return
        if "*" in self._allowed or origin.lower() in self._allowed or _same(origin.lower(), host):
            return
        raise Problem(
            403,
            "wrong_origin",
            f"the header Origin is {origin[:100]!r}, a page that may not use this service",
            remedy="The operator can allow it.",
        )


def _same(origin: str, host: str | None) -> bool:
    """Whether they are of one place, whatever the scheme: what is https to the browser may be http behind a proxy."""
    scheme, mark, place = origin.partition("://")
    if host is None or not mark or scheme not in _PORTS:
        return False
    port = _PORTS[scheme]
    return place.removesuffix(port) == host.lower().removesuffix(port) and _name(place) is not None


def _name(host: str | None) -> str | None:
    """The header without its port, or None if it is malformed."""
    match = None if host is None else _HOST.fullmatch(host.lower())
    return match["name"].removesuffix(".") if match else None


def _as_name(host: str) -> str:
    """A name as an operator may write it: with or without port, brackets or scheme."""
    host = host.lower()
    host = urlsplit(host).netloc if "://" in host else host
    if _is_address(f"[{host}]"):
        return f"[{host}]"
    return _name(host) or host


def _is_address(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return name.startswith("[") == (address.version == 6)
