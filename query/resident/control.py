"""Starts, lists and ends resident processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.query.resident.address import Address, folders
from oneword.storage.location import Location
from oneword.storage.process import Process

NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart")
"""Packages of the extra `serve`; without them there is no process."""

KEPT_SECONDS = 30 * 24 * 3600.0
"""Files in the folder older than this are removed, a process that is found by them ends."""

ROOT = Path(__file__).parents[3]
"""The folder of the package."""

STOP_SECONDS = 10.0
"""That a process may take to answer what it was asked before, and to end; then it is killed."""

DEVICES = Path("/dev")

_DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)

_started: list["subprocess.Popen[bytes]"] = []  # kept: a child that outlives its object is warned of


def start(address: Address, db: str, model: EngineConfig, collection: str) -> None:
    """Starts the process in the background, in a session of its own. If one is there already, the new one ends.

    It loads the model of a collection at once, and others when they are searched. It inherits the environment and the
    current folder, writes to its log, and takes nothing secret by its command line. A failure is not reported: the
    next command searches by itself too.
    """
    if address.is_held() or any(find_spec(one) is None for one in NEEDED):
        return
    settings = {"folder": str(address.folder), "name": address.name, "unix": address.unix}
    settings |= {"db": Location.of(db).uri, "model": asdict(model), "collection": collection}
    try:
        for file in address.folder.iterdir():
            if file.stat().st_mtime < time.time() - KEPT_SECONDS:
                file.unlink()
        log = os.open(address.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _started.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "oneword.query.resident.process", json.dumps(settings)],
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    creationflags=_DETACHED,
                )
            )
        finally:
            os.close(log)
    except OSError:
        return


def _environment() -> dict[str, str]:
    """This process' own, with the folder of a checkout, which may be on the path as the current one alone."""
    if "site-packages" in ROOT.parts:
        return dict(os.environ)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def residents() -> Iterator[Address]:
    """The addresses of all resident processes of this user."""
    for folder in folders():
        for file in sorted(folder.glob("*.json")):
            address = Address(folder=folder, name=file.stem)
            if address.info.get("kind") == "resident" and address.is_held():
                yield address


def make_room() -> None:
    """Ends all of them on a machine with a GPU, whose memory may not hold a large model twice."""
    if any(DEVICES.glob("nvidia[0-9]*")):
        for address in residents():
            stop(address)


def stop(address: Address) -> None:
    """Ends the resident process of an address, if there is one.

    Raises:
        OSError: its files cannot be removed.
    """
    from filelock import FileLock, Timeout

    if address.info.get("kind") != "resident":
        return
    address.state.unlink(missing_ok=True)  # it looks every second
    try:
        with FileLock(address.lock, mode=0o600).acquire(timeout=STOP_SECONDS):
            return
    except Timeout:
        Process(**address.info["process"]).send(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
