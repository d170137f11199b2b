"""The socket that the service listens on."""

import socket
import ssl

from oneword.query.errors import CannotListen
from oneword.query.server.config import ServerConfig

BACKLOG = 2048
"""Connections that the system holds until they are taken; uvicorn's number."""


def listen(config: ServerConfig) -> socket.socket:
    """Opens it.

    Raises:
        CannotListen: the address is none of this machine's, is taken, or is not permitted; or a TLS file is not there.
    """
    for option, file in (("--tls-cert", config.tls_cert), ("--tls-key", config.tls_key)):
        if file is not None and not file.is_file():
            raise CannotListen(f"{option} {str(file)!r} is no file: expected one in PEM form")
    if (config.tls_cert is None) != (config.tls_key is None):
        raise CannotListen("TLS takes a certificate and its key: give --tls-cert and --tls-key, or neither")
    if config.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key)
        except (ssl.SSLError, OSError) as error:
            raise CannotListen(
                f"{str(config.tls_cert)!r} and {str(config.tls_key)!r} cannot be used ({error}): expected a "
                "certificate chain and its key in PEM form, without a password"
            ) from error
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        raise CannotListen(
            f"cannot listen on {config.host}, port {config.port} ({reason.lower()}): is another service there? Give "
            "another --port (0: any free one) or --host"
        ) from error
