"""Listens at an address: its lock, its state, and its socket."""

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from oneword.query.resident.address import UNIX, Address
from oneword.query.resident.control import stop
from oneword.storage.process import Process

if TYPE_CHECKING:
    from oneword.query.server.config import ServerConfig

log = logging.getLogger(__name__)

__all__ = ["Timeout", "listener"]

BACKLOG = 128
"""Commands that may wait for the process to accept their connections; more search by themselves."""


@contextmanager
def listener(address: Address, *, kind: str, db: str, wait: float = 0) -> Iterator[socket.socket]:
    """A socket that listens for commands during the block; nobody else has the address then.

    Args:
        kind: "resident", or "serve" of a service that `oneword stop` does not end.
        db: the store, for `oneword stop --list`.
        wait: seconds for another process to leave the address.

    Raises:
        Timeout: another process has the address.
        OSError: the folder cannot be written.
    """
    with FileLock(address.lock, mode=0o600).acquire(timeout=wait):
        address.socket.unlink(missing_ok=True)  # of a process that was killed
        listening, more = _listening(address)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        info = {"kind": kind, "db": db, "since": since, "process": asdict(Process.this())}
        try:
            _write(address, info | more)
            yield listening
        finally:
            listening.close()
            for file in (address.socket, address.state, address.keys):
                file.unlink(missing_ok=True)


def _listening(address: Address) -> tuple[socket.socket, dict[str, Any]]:
    """The socket, and what a command has to know to use it."""
    if address.unix:
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(os.fsencode(address.socket))
            address.socket.chmod(0o600)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening, {}
    from oneword.query.server.keys import make, write

    key, text = make("resident", "read")
    write(address.keys, [key])
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    return listening, {"port": listening.getsockname()[1], "key": text}


def _write(address: Address, info: dict[str, Any]) -> None:
    partial = address.state.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(info, file)
    partial.replace(address.state)


@contextmanager
def listeners_beside(config: "ServerConfig") -> Iterator[list[socket.socket]]:
    """A socket for this user's searches over the same store, beside the service's own; none if they are not for it.

    With keys a service asks who searches, and with a rate how often: a socket without a caller would know neither.
    """
    guarded = config.keys_file is not None or config.rate is not None or config.tls_cert is not None
    address = None
    if UNIX and config.daemon and not guarded:
        address = Address.of(config.db, config.model)
    with ExitStack() as holding:
        sockets = []
        if address is not None:
            try:
                stop(address)
                sockets = [holding.enter_context(listener(address, kind="serve", db=config.db, wait=1.0))]
            except (OSError, Timeout) as error:  # another service has it, or the folder is full
                log.info("searches of the command line are answered elsewhere: %s", error)
        yield sockets
