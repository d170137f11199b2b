"""Where a command and the resident process meet: a folder of the user's own, and names in it."""

import hashlib
import json
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from oneword.engine.config import EngineConfig
from oneword.storage.location import Location

UNIX = hasattr(socket, "AF_UNIX")
"""Whether there are Unix sockets. Elsewhere (Windows) the process listens on loopback and wants a key."""

LONGEST_ADDRESS = 100
"""Bytes of a Unix socket's path; Linux takes 107, macOS 103."""

ENVIRONMENT = tuple(
    "AWS_ AZURE_ CUDA GOOGLE_ HF_ HOME HTTP_PROXY HTTPS_PROXY HUGGINGFACE LANCE LD_ MKL_ NO_PROXY NVIDIA_ OMP_ "
    "ONEWORD_MODEL ONEWORD_REMOTE_ PYTHONPATH PYTORCH_ TORCH TRANSFORMERS_ TZ XDG_CACHE_HOME".split()
)
"""Beginnings of the names of variables that an answer may depend on."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Files of one resident process. Another store, model, environment or installation has another name."""

    folder: Path
    name: str
    unix: bool = UNIX

    @classmethod
    def of(cls, db: str, model: EngineConfig) -> "Address | None":
        """The address for a store and a model; None if there is no folder that is only this user's."""
        folder = next(folders(), None)
        if folder is None:
            return None
        environment = sorted((name, value) for name, value in os.environ.items() if name.startswith(ENVIRONMENT))
        # A model that is named may be a relative path.
        named = os.getcwd() if model.model != "auto" else ""  # noqa: PTH109 - a string
        about = [*_store(db), asdict(model), named, environment, stamp()]
        return cls(folder=folder, name=hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16], unix=UNIX)

    @property
    def socket(self) -> Path:
        """The Unix socket."""
        return self.folder / f"{self.name}.sock"

    @property
    def lock(self) -> Path:
        """Locked as long as the process lives."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """What the process wrote to its standard error."""
        return self.folder / f"{self.name}.log"

    @property
    def keys(self) -> Path:
        """The file of its one key, where there are no Unix sockets."""
        return self.folder / f"{self.name}.toml"

    @property
    def state(self) -> Path:
        """What the process says of itself, see `listener`. Without this file it ends."""
        return self.folder / f"{self.name}.json"

    @cached_property
    def info(self) -> dict[str, Any]:
        """The content of `state`; empty if there is none."""
        try:
            found = json.loads(self.state.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_held(self) -> bool:
        """Whether the process is alive."""
        from filelock import FileLock

        try:
            with FileLock(self.lock, mode=0o600).acquire(blocking=False):
                return False
        except OSError:  # a Timeout, or there is no telling
            return True


def folders() -> Iterator[Path]:
    """Folders that only this user can enter, the best one first; they are made where they can be."""
    for parent, name in ((os.environ.get("XDG_RUNTIME_DIR"), "oneword"), (_temporary(), f"oneword-{_user()}")):
        folder = Path(parent or "", name)
        if not folder.is_absolute() or len(os.fsencode(folder)) > LONGEST_ADDRESS - len("/0123456789abcdef.sock"):
            continue
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if is_own(folder):
                yield folder
        except OSError:
            continue


def is_own(folder: Path) -> bool:
    """Whether a folder is this user's, is not a link, and nobody else can enter it. (On Windows its parent says so.)"""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and (
        not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    )


def stamp() -> list[Any]:
    """Changes when this package or one beside it is installed, upgraded or edited."""
    package = Path(__file__).parents[2]  # not resolved: the checkout's folders are links in it
    newest = max(
        entry.stat().st_mtime_ns
        for folder, _, _ in os.walk(package, followlinks=True)
        for entry in os.scandir(folder)
        if entry.name.endswith(".py")
    )
    installed = Path(typer.__file__).parents[1].stat().st_mtime_ns
    return [sys.version, sys.prefix, str(package), newest, installed]


def _store(db: str) -> list[Any]:
    """A store by its address and its very folder: another may be at the same path later, or in another container."""
    location = Location.of(db)
    try:
        found = None if location.path is None else location.path.stat()
    except OSError:
        found = None
    return [socket.gethostname(), location.uri, found and found.st_dev, found and found.st_ino]


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # no folder is writable
        return None


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
