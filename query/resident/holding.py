"""Taking a place: its lock, its state, and its socket."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout

from oneword.query.resident.place import Place
from oneword.storage.process import Process

__all__ = ["Timeout", "held"]

BACKLOG = 128
"""Commands that may wait for the process to accept their connections; more search by themselves."""


@contextmanager
def held(place: Place, *, kind: str, db: str, wait: float = 0) -> Iterator[socket.socket]:
    """A socket that listens for commands during the block; nobody else has the place then.

    Args:
        kind: "resident", or "serve" of a service that `oneword stop` does not end.
        db: the store, for `oneword stop --list`.
        wait: seconds for another process to leave the place.

    Raises:
        Timeout: another process has the place.
        OSError: the folder cannot be written.
    """
    with FileLock(place.lock, mode=0o600).acquire(timeout=wait):
        place.socket.unlink(missing_ok=True)  # of a process that was killed
        listening, more = _listening(place)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"kind": kind, "db": db, "since": since, "process": asdict(Process.this())}
        try:
            _write(place, said | more)
            yield listening
        finally:
            listening.close()
            for file in (place.socket, place.state, place.keys):
                file.unlink(missing_ok=True)


def _listening(place: Place) -> tuple[socket.socket, dict[str, Any]]:
    """The socket, and what a command has to know to use it."""
    if place.unix:
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(os.fsencode(place.socket))
            place.socket.chmod(0o600)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening, {}
    from oneword.query.server.keys import make, write

    key, text = make("resident", "read")
    write(place.keys, [key])
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    return listening, {"port": listening.getsockname()[1], "key": text}


def _write(place: Place, said: dict[str, Any]) -> None:
    partial = place.state.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(said, file)
    partial.replace(place.state)
