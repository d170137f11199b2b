"""Starting the process of a place, and letting go of it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.query.resident.place import Place
from oneword.storage.location import Location

NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart")
"""Packages of the extra `serve`; without them there is no process."""

KEPT_SECONDS = 30 * 24 * 3600.0
"""Files in the folder older than this are removed, a process that is found by them ends."""

ROOT = Path(__file__).parents[3]
"""The folder of the package."""

_DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)

_started: list["subprocess.Popen[bytes]"] = []  # kept: a child that outlives its object is warned of


def start(place: Place, db: str, model: EngineConfig, collection: str) -> None:
    """Starts the process in the background, in a session of its own. If one is there already, the new one ends.

    It loads the model of a collection at once, and others when they are searched. It inherits the environment and the
    current folder, writes to the log alone, and takes nothing secret by its command line. A failure is not told: the
    next command searches by itself too.
    """
    if place.is_held() or any(find_spec(one) is None for one in NEEDED):
        return
    said = {"folder": str(place.folder), "name": place.name, "unix": place.unix}
    said |= {"db": Location.of(db).uri, "model": asdict(model), "collection": collection}
    try:
        for file in place.folder.iterdir():
            if file.stat().st_mtime < time.time() - KEPT_SECONDS:
                file.unlink()
        log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _started.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "oneword.query.resident.process", json.dumps(said)],
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
