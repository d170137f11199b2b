"""Where a file or folder is: on this machine, or at an fsspec URI. Both are named, listed and opened alike.

Whatever goes wrong with a place is an `OSError`, also where an object store's client raises its own.
"""

import glob
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from indexer.errors import BadSource

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[]")


class Place(ABC):
    """A file or a folder, which need not exist.

    Attributes:
        uri: the place's, and no other's.
    """

    uri: str

    @property
    @abstractmethod
    def name(self) -> str:
        """Its last part."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """As people write it; printable."""

    @property
    @abstractmethod
    def parent(self) -> "Place":
        """The folder that it is in."""

    @property
    @abstractmethod
    def identity(self) -> object:
        """Equal for one folder reached by two ways. Raises OSError."""

    @abstractmethod
    def child(self, name: str) -> "Place":
        """What is called `name` in this folder; may lead deeper (`a/b`) or up (`../a`)."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether something is there, if only a broken link. Raises OSError."""

    @abstractmethod
    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one. Raises OSError."""

    @abstractmethod
    def listing(self) -> tuple[list[str], list[str]]:
        """Names of files and of folders in this folder, each sorted. Raises OSError."""

    @abstractmethod
    def fault(self) -> str | None:
        """Why it cannot be a file to read, as far as that shows without opening it."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Opens the file to read bytes. Raises OSError."""

    @property
    def suffix(self) -> str:
        """Of its name, in lower case, with the dot; "" if it has none."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Local(Place):
    """On this machine. Links are not resolved: a file is called what its user calls it."""

    path: Path

    @property
    def uri(self) -> str:  # type: ignore[override]
        """file:// URI; percent-encoded, so that any file name has one."""
        return self.path.as_uri()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def shown(self) -> str:
        return printable(str(self.path))

    @property
    def parent(self) -> "Local":
        return Local(self.path.parent)

    @property
    def identity(self) -> object:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def child(self, name: str) -> "Local":
        return Local(Path(os.path.abspath(self.path / name)) if "/" in name else self.path / name)  # noqa: PTH100

    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def is_folder(self) -> bool:
        return os.path.isdir(self.path)  # noqa: PTH112 (never raises)

    def listing(self) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        with os.scandir(self.path) as found:
            for one in found:
                try:
                    folder = one.is_dir()
                except OSError:  # a link that cannot be followed
                    folder = False
                (folders if folder else files).append(one.name)
        return sorted(files), sorted(folders)

    def fault(self) -> str | None:
        try:
            regular = stat.S_ISREG(self.path.stat().st_mode)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            return f"cannot be read ({reason_of(error)})"
        return None if regular else "not a regular file"

    def open(self) -> BinaryIO:
        if self.fault() == "not a regular file":  # a pipe would wait for ever
            raise OSError(f"{self.shown} is not a regular file")
        return self.path.open("rb")


@dataclass(frozen=True)
class Remote(Place):
    """At an fsspec URI: an object store, or whatever else has a file system there."""

    fs: Any
    key: str

    @property
    def uri(self) -> str:  # type: ignore[override]
        """With its scheme, as fsspec writes it."""
        return str(self.fs.unstrip_protocol(self.key))

    @property
    def name(self) -> str:
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def shown(self) -> str:
        return printable(self.uri)

    @property
    def parent(self) -> "Remote":
        return Remote(self.fs, self.key.rstrip("/").rpartition("/")[0])

    @property
    def identity(self) -> object:
        return self.uri

    def child(self, name: str) -> "Remote":
        key = f"{self.key.rstrip('/')}/{name}"
        if any(part in (".", "..") for part in name.split("/")):
            key = os.path.normpath(key)
        return Remote(self.fs, key)

    def exists(self) -> bool:
        with _named(self.uri):
            return bool(self.fs.exists(self.key))

    def is_folder(self) -> bool:
        with _named(self.uri):
            return bool(self.fs.isdir(self.key))

    def listing(self) -> tuple[list[str], list[str]]:
        with _named(self.uri):
            found = self.fs.ls(self.key, detail=True)
            self.fs.invalidate_cache(self.key)  # else the listings of all folders stay in memory
        files: set[str] = set()
        folders: set[str] = set()
        for one in found:
            name = str(one["name"]).rstrip("/")
            if name.strip("/") != self.key.strip("/"):  # stores list a folder's own marker in it
                (folders if one["type"] == "directory" else files).add(name.rpartition("/")[2])
        return sorted(files), sorted(folders)

    def fault(self) -> str | None:
        return None

    def open(self) -> BinaryIO:
        with _named(self.uri):
            file: BinaryIO = self.fs.open(self.key, "rb")
            return file


def place_of(given: str | Path) -> Place:
    """The place that a path or URI names; relative paths are taken from the working folder.

    Raises:
        BadSource: a URI whose scheme nothing here can read; the message names the package that can.
    """
    text = str(given)
    if not is_uri(text):
        return Local(Path(os.path.abspath(Path(given).expanduser())))  # noqa: PTH100 (resolve() would follow links)
    parts = urlsplit(text)
    if parts.scheme.lower() == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadSource(f"{text!r} is on another machine, expected file:///...; mount it and name the path")
        return Local(Path(os.fsdecode(unquote_to_bytes(text.split("://", 1)[1].removeprefix(parts.netloc)))))
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise BadSource(f"{text!r} is read through fsspec, which is not installed; install oneword[sources]") from error
    try:
        fs, key = url_to_fs(text)
    except Exception as error:  # ImportError, ValueError, or what the store's client raises where it has no key
        raise BadSource(
            f"{text!r} cannot be reached ({reason_of(error)}); expected a path or a URI that fsspec can open"
        ) from error
    return Remote(fs, key)


def is_uri(text: str) -> bool:
    """Whether it begins as `scheme://`."""
    return _SCHEME.match(text) is not None


def has_magic(text: str) -> bool:
    """Whether it holds a glob's signs."""
    return _MAGIC.search(text) is not None


def matching(pattern: str) -> list[Place]:
    """The places that a glob matches, sorted; `**` is any number of folders. Raises BadSource, OSError."""
    if not is_uri(pattern) or pattern.lower().startswith("file://"):
        local = pattern.split("://", 1)[1] if is_uri(pattern) else str(Path(pattern).expanduser())
        return [place_of(Path(one)) for one in sorted(glob.glob(local, recursive=True))]  # noqa: PTH207
    place = place_of(pattern)
    assert isinstance(place, Remote)
    with _named(pattern):
        return [Remote(place.fs, str(key)) for key in sorted(place.fs.glob(place.key))]


def printable(text: str) -> str:
    """`text`, with escapes for what no Unicode text can hold: bytes of file names that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def reason_of(error: BaseException) -> str:
    """What an error says, in one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(str(said).split()))


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """Turns what a store's client raises into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # botocore, google.auth, aiohttp: each has a tree of its own
        raise OSError(f"{uri}: {reason_of(error)}") from error
