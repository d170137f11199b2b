"""Ending resident processes, and listing them."""

import signal
from collections.abc import Iterator
from pathlib import Path

from oneword.query.resident.place import Place, folders
from oneword.storage.process import Process

LEAVING_SECONDS = 10.0
"""That a process may take to answer what it was asked before, and to end; then it is killed."""

DEVICES = Path("/dev")


def residents() -> Iterator[Place]:
    """The places of all resident processes of this user."""
    for folder in folders():
        for file in sorted(folder.glob("*.json")):
            place = Place(folder=folder, name=file.stem)
            if place.said.get("kind") == "resident" and place.is_held():
                yield place


def make_room() -> None:
    """Ends all of them on a machine with a GPU, whose memory may not hold a large model twice."""
    if any(DEVICES.glob("nvidia[0-9]*")):
        for place in residents():
            stop(place)


def stop(place: Place) -> None:
    """Ends the resident process of a place, if there is one.

    Raises:
        OSError: its files cannot be removed.
    """
    from filelock import FileLock, Timeout

    if place.said.get("kind") != "resident":
        return
    place.state.unlink(missing_ok=True)  # it looks every second
    try:
        with FileLock(place.lock, mode=0o600).acquire(timeout=LEAVING_SECONDS):
            return
    except Timeout:
        Process(**place.said["process"]).send(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
