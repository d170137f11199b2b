"""Places that fsspec reaches: object stores, and whatever else has a file system there."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from oneword.engine.roots import OUTSIDE, OutsideRoots, Roots
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.place import Place, reason_of
from oneword.storage.visible import visible


@dataclass(frozen=True)
class Remote(Place):
    """At an fsspec URI: an object store, or whatever else has a file system there."""

    fs: Any
    key: str
    roots: Roots | None = None

    @property
    def uri(self) -> str:  # type: ignore[override]
        """With its scheme, as fsspec writes it."""
        return str(self.fs.unstrip_protocol(self.key))

    @property
    def name(self) -> str:
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def shown(self) -> str:
        return visible(self.uri)

    @property
    def parent(self) -> "Remote":
        return Remote(self.fs, self.key.rstrip("/").rpartition("/")[0], self.roots)

    @property
    def identity(self) -> object:
        return self.uri

    @property
    def outside(self) -> bool:
        return self.roots is not None and not self.roots.allow_uri(self.uri)

    def child(self, name: str) -> "Remote":
        key = f"{self.key.rstrip('/')}/{name}"
        if any(part in (".", "..") for part in name.split("/")):
            key = os.path.normpath(key)
        return Remote(self.fs, key, self.roots)

    def exists(self) -> bool:
        with self._reaching():
            return bool(self.fs.exists(self.key))

    def is_folder(self) -> bool:
        with self._reaching():
            return bool(self.fs.isdir(self.key))

    def listing(self) -> tuple[list[str], list[str]]:
        with self._reaching():
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
        with self._reaching():
            return io.BufferedReader(self.fs.open(self.key, "rb"))  # whose readline takes a limit, as fsspec's does not

    def matching(self) -> list["Remote"]:
        """The places that the key, taken as a glob, matches, sorted. Raises OSError."""
        with self._reaching():
            return [Remote(self.fs, str(key), self.roots) for key in sorted(self.fs.glob(self.key))]

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turns what a store's client raises into an OSError."""
        if self.outside:
            raise OutsideRoots(self.shown)
        with _named(self.uri):
            yield


def remote(uri: str, roots: Roots | None = None) -> Remote:
    """The place at an fsspec URI.

    Raises:
        BadSource: nothing here can read its scheme, with the package that can; or it is outside the roots.
    """
    if roots is not None and not roots.allow_uri(uri):
        raise BadSource(f"{visible(uri)} {OUTSIDE}")
    if roots is not None and uri.lower().startswith(("http://", "https://")):
        # fsspec would follow redirects to whatever private host they lead to; the fetcher does not.
        raise BadSource(f"{visible(uri)} is read through fsspec, expected a picture's URL; download it first")
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
    return Remote(fs, key, roots)


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """Turns what a store's client raises into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # botocore, google.auth, aiohttp: each has a tree of its own
        raise OSError(f"{uri}: {reason_of(error)}") from error
