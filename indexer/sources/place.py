"""A file or folder: at a local path, or at a URI that fsspec opens.

Every failure to look at or to open a place is an `OSError`, also where the client of an object store raises its own.
Local places do without fsspec: it is optional, and it cannot open a file without following links out of the roots.
They do without pathlib, too, which interns every part of every path: the interpreter's table would grow with the files.
"""

# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH120, PTH122, PTH123, SIM115

import io
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self
from unicodedata import normalize
from urllib.parse import quote_from_bytes, urlsplit

from oneword.engine.roots import OBJECT_STORES, OUTSIDE, OutsideRoots, Roots, local_path
from oneword.indexer.errors import BadSource
from oneword.storage.visible import visible

SYSTEM_FOLDERS = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology: thumbnails, bin, snapshots
        *("@recycle", "@recently-snapshot"),  # QNAP
        *("$recycle.bin", "recycler", "system volume information", "found.000"),  # Windows
        *("__macosx", "lost+found"),  # resource forks in archives; what a file system check found
    }
)
"""Lower-case names of folders that hold copies, thumbnails and deleted files."""

NOT_REGULAR = "not a regular file"

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Place:
    """A file or folder on an fsspec file system, which need not exist.

    Args:
        key: its path on the file system.
        roots: nothing outside is looked at or opened; trying raises `OutsideRoots`, an OSError. None: no limit.
        fs: the fsspec file system.
    """

    key: str
    roots: Roots | None = None
    fs: Any = None

    @property
    def uri(self) -> str:
        """The URI of this place and of no other."""
        return str(self.fs.unstrip_protocol(self.key))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of its name, in lower case, with the dot, or ""."""
        return os.path.splitext(self.name)[1].lower()

    def __str__(self) -> str:
        """Its URI or path on one line, for messages."""
        return visible(self.uri)

    @property
    def parent(self) -> Self:
        """The folder that holds it."""
        return replace(self, key=self.key.rstrip("/").rpartition("/")[0])

    @property
    def identity(self) -> object:
        """Equal for one folder reached by two paths. Raises OSError."""
        return self.uri

    @property
    def outside(self) -> bool:
        """Whether it is outside the roots, or a link that leads out of them."""
        return self.roots is not None and not self.roots.allow_uri(self.uri)

    def child(self, name: str) -> Self:
        """The place with a relative path (`a`, `a/b`, `../a`) below this folder."""
        key = f"{self.key.rstrip('/')}/{name}"
        return replace(self, key=os.path.normpath(key) if {".", ".."} & {*name.split("/")} else key)

    def exists(self) -> bool:
        """Whether something is there, even if only a broken link. Raises OSError."""
        with self._client_errors():
            return bool(self.fs.exists(self.key))

    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one. Raises OSError."""
        with self._client_errors():
            return bool(self.fs.isdir(self.key))

    def listing(self) -> tuple[list[str], list[str]]:
        """Sorted names of the files and of the folders in this folder. Raises OSError."""
        with self._client_errors():
            found = self.fs.ls(self.key, detail=True)
            self.fs.invalidate_cache(self.key)  # else the listings of all folders stay in memory
        names: dict[bool, set[str]] = {False: set(), True: set()}
        for one in found:
            path = str(one["name"]).strip("/")
            if path != self.key.strip("/"):  # stores list a folder's own marker in it
                names[one["type"] == "directory"].add(path.rpartition("/")[2])
        return sorted(names[False]), sorted(names[True])

    def glob(self) -> list[Self]:
        """The sorted places that its path, taken as a glob, matches. Raises OSError."""
        with self._client_errors():
            return [replace(self, key=str(key)) for key in sorted(self.fs.glob(self.key))]

    def fault(self) -> str | None:
        """Why it is not a file to read, as far as that shows without opening it."""
        return None

    def open(self) -> BinaryIO:
        """Opens the file to read bytes. Raises OSError."""
        with self._client_errors():
            return io.BufferedReader(self.fs.open(self.key, "rb"))  # fsspec's own readline takes no limit

    @contextmanager
    def _client_errors(self) -> Iterator[None]:
        """Turns whatever a store's client raises into an OSError."""
        if self.outside:
            raise OutsideRoots(str(self))
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # botocore, google.auth, aiohttp: each has a tree of its own
            raise OSError(f"{self.uri}: {reason_of(error)}") from error


@dataclass(frozen=True)
class LocalPlace(Place):
    """A place on this machine. Links are not resolved: a file keeps the name by which its user calls it."""

    @property
    def uri(self) -> str:
        return f"file://{quote_from_bytes(os.fsencode(self.key))}"  # encoded, so that any file name has one

    def __str__(self) -> str:
        return visible(self.key)

    @property
    def parent(self) -> Self:
        return replace(self, key=os.path.dirname(self.key))

    @property
    def identity(self) -> object:
        if self.outside:
            raise OutsideRoots(str(self))
        status = os.stat(self.key)
        return status.st_dev, status.st_ino

    @property
    def outside(self) -> bool:
        return self.roots is not None and not self.roots.allow_path(self.key)

    def child(self, name: str) -> Self:
        key = os.path.join(self.key, name)
        return replace(self, key=os.path.abspath(key) if "/" in name else key)

    def exists(self) -> bool:
        if self.outside and self.parent.outside:  # that a link in a root exists may be known, wherever it leads
            raise OutsideRoots(str(self))
        try:
            os.lstat(self.key)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
            return False
        return True  # any other error is raised: what cannot be looked at may well exist

    def is_folder(self) -> bool:
        return not self.outside and os.path.isdir(self.key)

    def listing(self) -> tuple[list[str], list[str]]:
        descriptor = None if self.roots is None else self.roots.open(Path(self.key), getattr(os, "O_DIRECTORY", 0))
        names: dict[bool, list[str]] = {False: [], True: []}
        try:
            with os.scandir(self.key if descriptor is None else descriptor) as found:
                for one in found:
                    try:
                        folder = one.is_dir()
                    except OSError:  # a link that cannot be followed; otherwise a lost disk, which is not a file
                        folder = not one.is_symlink()
                    names[folder].append(one.name)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        return sorted(names[False]), sorted(names[True])

    def fault(self) -> str | None:
        if self.outside:
            return OUTSIDE
        try:
            return None if stat.S_ISREG(os.stat(self.key).st_mode) else NOT_REGULAR
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            return f"cannot be read ({reason_of(error)})"

    def open(self) -> BinaryIO:
        if self.fault() == NOT_REGULAR:  # a pipe would block for ever
            raise OSError(f"{self} is {NOT_REGULAR}")
        file = open(self.key, "rb") if self.roots is None else os.fdopen(self.roots.open(Path(self.key)), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # replaced since
            file.close()
            raise OSError(f"{self} is {NOT_REGULAR}")
        return file


def place_of(given: str | Path, roots: Roots | None = None) -> Place:
    """The place at a path, relative to the working folder, or at a URI.

    Args:
        roots: nothing outside them is read. A local place outside is returned, and says so.

    Raises:
        BadSource: a URI that cannot be read here, with the package that can read it; or one outside the roots.
    """
    text = str(given)
    if (path := local_path(text)) is not None:
        return LocalPlace(str(path), roots)
    if text.lower().startswith("file:"):
        raise BadSource(f"{text!r} is on another machine, expected file:///...; mount it and name the path")
    if roots is not None and not roots.allow_uri(text):
        raise BadSource(f"{visible(text)} {OUTSIDE}")
    if roots is not None and text.lower().startswith(("http://", "https://")):
        # fsspec would follow redirects to whatever private host they lead to; the fetcher does not.
        raise BadSource(f"{visible(text)} is read through fsspec, expected an image's URL; download it first")
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
    return Place(key, roots, fs)


def is_uri(text: str) -> bool:
    """Whether it begins with `scheme://`."""
    return _URI.match(text) is not None


def is_system_folder(name: str) -> bool:
    """Whether a folder is read only where the user names it: a hidden one, or one of `SYSTEM_FOLDERS`."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def may_reference(uri: str, place: Place, schemes: Collection[str] = ()) -> bool:
    """Whether a table or list at a place, which a stranger may have written, may name a URI to be opened.

    Allowed are http(s), which the fetcher reads under its rules; files, for a table on this machine; the table's own
    store, or anything inside the roots; and the object stores whose schemes the user allows. Anything else would be
    opened with the user's credentials, or connect to a private host of the stranger's choice (ftp, smb, `::` chains).
    """
    scheme = uri.partition("://")[0].lower()
    if scheme in ("http", "https"):
        return True
    if scheme == "file":
        return isinstance(place, LocalPlace) or "file" in schemes
    if scheme not in OBJECT_STORES or "::" in uri:
        return False
    # Where there are roots, they decide when it is read.
    return place.roots is not None or scheme in schemes or _store(uri) == _store(place.uri)


def _store(uri: str) -> tuple[str, str]:
    """The scheme and the bucket or host; `memory` has none."""
    parts = urlsplit(uri)
    return parts.scheme.lower(), "" if parts.scheme.lower() == "memory" else parts.netloc


def as_on_disk(place: Place) -> Place:
    """The place, with each part of its name in the Unicode normal form that it has on disk.

    macOS writes é as two characters, other systems as one; either form finds the other. A name that exists as written
    stays as written. Raises OSError.
    """
    if not isinstance(place, LocalPlace) or place.key.isascii() or place.exists():
        return place
    if place.parent == place or place.parent.outside:
        return place
    parent = as_on_disk(place.parent)
    if place.name.isascii() or not parent.is_folder():
        return parent.child(place.name)
    files, folders = parent.listing()
    normalized = normalize("NFC", place.name)
    return parent.child(next((one for one in (*files, *folders) if normalize("NFC", one) == normalized), place.name))


def printable(text: str) -> str:
    """The text, with escapes for bytes of file names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def reason_of(error: BaseException) -> str:
    """An error's message on one line."""
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(str(message).split()))
