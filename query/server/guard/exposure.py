"""A service without keys stays on its machine."""

import ipaddress

from oneword.query.errors import Exposed
from oneword.query.server.config import ServerConfig


def check_exposed(config: ServerConfig) -> None:
    """Whether the service may listen where it is told to.

    Raises:
        Exposed: it would listen beyond loopback, without keys, and `insecure` has not been said.
    """
    if config.keys_file is None and not config.insecure and not is_loopback(config.host):
        raise Exposed(
            f"host is {config.host!r} and there are no API keys: anyone who reaches this machine could read and delete "
            "everything. Make a key (`oneword keys create NAME`) and say where it is (--api-keys FILE), or listen on "
            "127.0.0.1, or say --insecure if something else keeps strangers out"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there. Names other than localhost may mean any machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
