"""Parses URLs strictly: what two parsers may understand differently is refused."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

import idna

from oneword.engine.errors import UrlRefused

MAX_LENGTH = 8000
"""Maximum length of a URL, in characters: what RFC 9110, section 4.1, asks every recipient to support.
Signed URLs need 2,000."""

SHOWN = 120
"""Maximum length of a URL in a message, in characters."""

DEFAULT_PORTS = {"http": 80, "https": 443}

BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)
"""Other protocols' ports from 1024 on, fetch.spec.whatwg.org/#port-blocking; below, only 80 and 443 are HTTP's."""

REMEDY = "an operator can open private networks (FetchConfig.allow_private)"

_CONTROL = re.compile(r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060\ufeff\ud800-\udfff]")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
# Characters that url.spec.whatwg.org leaves unencoded in a path and in a query, so that signatures stay valid.
_IN_PATH = "!$%&'()*+,/:;=@~-._[]|"
_IN_QUERY = "!$%&()*+,/:;=@~-._[]|?^`{}"
_USER = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*:/*|/*)[^/?#]*@")
_LOCAL = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True, kw_only=True)
class Url:
    """A URL that may be fetched, if its addresses may be connected to.

    Args:
        scheme: "http" or "https".
        host: ASCII and lower case: a name, or a numeric address as it was written; IPv6 without brackets.
        port: never None.
        target: path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port; as a `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read(url: str, *, allow_private: bool = False) -> Url:
    """Parses a URL.

    Args:
        allow_private: accept `localhost`, too.

    Raises:
        UrlRefused: malformed, ambiguous, or not of HTTP.
    """

    def refused(reason: str) -> UrlRefused:
        return UrlRefused(f"{shown(url)}: {reason}")

    if len(url) > MAX_LENGTH:
        raise refused(f"the URL has {len(url):,} characters: expected at most {MAX_LENGTH:,}")
    if found := _CONTROL.search(url):
        raise refused(f"the URL holds the character {found[0]!a} at {found.start()}: expected it percent-encoded")
    if "\\" in url.partition("?")[0]:
        raise refused("the URL holds a backslash, which readers understand differently: write / or %5C")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused("not a URL: its host or port is malformed") from error  # `error` may quote a password
    if parts.scheme not in DEFAULT_PORTS:
        raise refused(f"the scheme is {parts.scheme[:20]!r}: expected http or https")
    if "@" in parts.netloc:
        raise refused("the URL carries credentials (USER@): expected none, they are never sent")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in (80, 443) and (port < 1024 or port in BAD_PORTS):
        raise refused(f"port {port}: expected 80, 443, or one from 1024 on that is not another protocol's")
    try:
        host = _host(parts.hostname or "", bracketed="[" in parts.netloc)
    except ValueError as error:  # IDNA's errors are, too
        expected = "an address, or letters, digits, hyphens and dots, at most 253, no label of more than 63"
        raise refused(f"the host is {(parts.hostname or '')[:40]!a}: expected {expected}") from error
    name = host.rstrip(".")
    if not allow_private and (name in _LOCAL or name.endswith(".localhost")):
        raise refused(f"{host} is this machine: expected a public host; {REMEDY}")
    query = "?" + quote(parts.query, safe=_IN_QUERY) if parts.query else ""
    return Url(scheme=parts.scheme, host=host, port=port, target=quote(parts.path or "/", safe=_IN_PATH) + query)


def _host(host: str, *, bracketed: bool) -> str:
    """Returns a host in ASCII and lower case. Raises `ValueError`."""
    if bracketed and "%" not in host:
        return str(IPv6Address(host))
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode()
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise ValueError(host)
    return host


def redirected(base: Url, location: str, *, allow_private: bool = False) -> Url:
    """Returns the URL that a redirect from `base` leads to.

    Raises:
        UrlRefused: as `read`, and from https down to http.
    """
    try:
        joined = urljoin(str(base), location)
    except ValueError as error:
        raise UrlRefused(f"{shown(location)}: not a URL: its host is malformed") from error
    to = read(joined, allow_private=allow_private)
    if base.scheme == "https" and to.scheme == "http":
        raise UrlRefused(f"{shown(str(to))}: http, where https was left: expected https")
    return to


def shown(url: str) -> str:
    """Returns a URL for messages: without credentials, query or fragment, printable, and not too long.

    A query is often a signature, and messages are logged and stored in the quarantine.
    """
    bare = _USER.sub(r"\1", url[:MAX_LENGTH])
    end = re.search("[?#]", bare)
    text = (bare[: end.start()] if end else bare).encode("ascii", "backslashreplace").decode()
    text = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)
    if len(text) > SHOWN:
        text = text[: SHOWN - 3] + "..."
    return text + ("?..." if end and end[0] == "?" else "")
