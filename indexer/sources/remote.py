"""Places that fsspec reaches: object stores, and whatever else has a file system there."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from indexer.errors import BadSource
from indexer.sources.place import Place, one_line, reason_of


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
        return one_line(self.uri)

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
            return io.BufferedReader(self.fs.open(self.key, "rb"))  # whose readline takes a limit, as fsspec's does not

    def matching(self) -> list["Remote"]:
        """The places that the key, taken as a glob, matches, sorted. Raises OSError."""
        with _named(self.uri):
            return [Remote(self.fs, str(key)) for key in sorted(self.fs.glob(self.key))]


def remote(uri: str) -> Remote:
    """The place at an fsspec URI.

    Raises:
        BadSource: nothing here can read its scheme; the message names the package that can.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise BadSource(f"{uri!r} is read through fsspec, which is not installed; install oneword[sources]") from error
    try:
        fs, key = url_to_fs(uri)
    except Exception as error:  # ImportError, ValueError, or what the store's client raises where it has no key
        raise BadSource(
            f"{uri!r} cannot be reached ({reason_of(error)}); expected a path or a URI that fsspec can open"
        ) from error
    return Remote(fs, key)


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """Turns what a store's client raises into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # botocore, google.auth, aiohttp: each has a tree of its own
        raise OSError(f"{uri}: {reason_of(error)}") from error
