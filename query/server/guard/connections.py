"""How many connections there are: in all, and from one address. Whoever has nothing under way makes room first."""

import ipaddress
from collections import Counter, OrderedDict
from typing import Protocol

WANTED = 65_536
"""Descriptors that a service asks the system for, if it may have as many."""

MOST = 10_000
"""Connections, if there are descriptors for more; each holds some kilobytes. Our own choice."""


class Connection(Protocol):
    """What may be asked to make room."""

    @property
    def idle(self) -> bool:
        """Whether no request of it is being answered or read."""

    def end(self) -> None:
        """Closes it."""


class Connections:
    """Admits connections. Use it from one event loop.

    Args:
        most: in all. From one address there may be half as many: a proxy is one, and so is an attacker.
    """

    def __init__(self, most: int) -> None:
        self.most, self.most_each = most, max(1, most // 2)
        self._open: OrderedDict[Connection, str] = OrderedDict()  # the longest without news first
        self._each: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admitted(self, connection: Connection, host: str) -> bool:
        """Whether there is room for a new connection; if need be, the longest idle one is closed for it."""
        source = network(host)
        if self._each[source] >= self.most_each and not self._ended(source):
            return False
        if len(self._open) >= self.most and not self._ended(None):
            return False
        self._open[connection] = source
        self._each[source] += 1
        return True

    def heard(self, connection: Connection) -> None:
        """Something came from it."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def left(self, connection: Connection) -> None:
        """It is closed."""
        source = self._open.pop(connection, None)
        if source is not None:
            self._each -= Counter({source: 1})

    def _ended(self, source: str | None) -> bool:
        """Closes the longest idle one, of a source if one is given; False if there is none."""
        for connection, of in self._open.items():
            if source in (None, of) and connection.idle:
                self.left(connection)
                connection.end()
                return True
        return False


def network(host: str) -> str:
    """Whom limits count as one: an IPv4 address, or an IPv6 network of 64 bits, which one client has."""
    if ":" not in host:
        return host
    try:
        six = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(six.ipv4_mapped or ipaddress.IPv6Network((six, 64), strict=False))


def room() -> int:
    """Connections that there are descriptors for; asks the system for more of them first.

    Half of them, and at most 1,024, are kept for the store's files and for what is fetched.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - min(1024, soft // 2)))
