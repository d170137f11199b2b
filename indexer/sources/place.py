"""Where a file or folder is: on this machine, or at an fsspec URI. Both are named, listed and opened alike.

Whatever goes wrong with a place is an `OSError`, also where an object store's client raises its own.
"""

import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from unicodedata import normalize
from urllib.parse import unquote_to_bytes, urlsplit

from oneword.engine.roots import OUTSIDE, OutsideRoots, Roots
from oneword.engine.roots import STORES as CITED
from oneword.indexer.errors import BadSource
from oneword.storage.visible import visible

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[]")


class Place(ABC):
    """A file or a folder, which need not exist.

    Attributes:
        uri: the place's, and no other's.
        roots: outside which nothing is looked at or opened (that is an `OutsideRoots`, an OSError); None: anything is.
    """

    uri: str
    roots: Roots | None

    @property
    @abstractmethod
    def name(self) -> str:
        """Its last part."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """As people write it, in one line."""

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
    @abstractmethod
    def outside(self) -> bool:
        """Whether it is outside the roots, or is a link that leads out of them."""

    @property
    def suffix(self) -> str:
        """Of its name, in lower case, with the dot; "" if it has none."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Local(Place):
    """On this machine. Links are not resolved: a file is called what its user calls it."""

    path: Path
    roots: Roots | None = None

    @property
    def uri(self) -> str:  # type: ignore[override]
        """file:// URI; percent-encoded, so that any file name has one."""
        return self.path.as_uri()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def shown(self) -> str:
        return visible(str(self.path))

    @property
    def parent(self) -> "Local":
        return Local(self.path.parent, self.roots)

    @property
    def identity(self) -> object:
        self._check()
        status = self.path.stat()
        return status.st_dev, status.st_ino

    @property
    def outside(self) -> bool:
        return self.roots is not None and not self.roots.allow_path(self.path)

    def child(self, name: str) -> "Local":
        path = Path(os.path.abspath(self.path / name)) if "/" in name else self.path / name  # noqa: PTH100
        return Local(path, self.roots)

    def exists(self) -> bool:
        if self.outside and self.parent.outside:  # of a link that leads out of a root, that it is there may be known
            raise OutsideRoots(self.shown)
        try:
            self.path.lstat()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
            return False
        return True  # any other error is raised: what cannot be looked at may well be there

    def is_folder(self) -> bool:
        return not self.outside and os.path.isdir(self.path)  # noqa: PTH112 (never raises)

    def listing(self) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        with self._scanned() as found:
            for one in found:
                try:
                    folder = one.is_dir()
                except OSError:  # a link that cannot be followed; or a disk that is lost, which no file can be
                    folder = not one.is_symlink()
                (folders if folder else files).append(one.name)
        return sorted(files), sorted(folders)

    def fault(self) -> str | None:
        if self.outside:
            return OUTSIDE
        try:
            regular = stat.S_ISREG(self.path.stat().st_mode)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            return f"cannot be read ({reason_of(error)})"
        return None if regular else "not a regular file"

    def open(self) -> BinaryIO:
        if self.fault() == "not a regular file":  # a pipe would wait for ever
            raise OSError(f"{self.shown} is not a regular file")
        if self.roots is None:
            return self.path.open("rb")
        file = os.fdopen(self.roots.open(self.path), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it has become one since
            file.close()
            raise OSError(f"{self.shown} is not a regular file")
        return file

    @contextmanager
    def _scanned(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        if self.roots is None:
            with os.scandir(self.path) as found:
                yield found
            return
        opened = self.roots.open(self.path, getattr(os, "O_DIRECTORY", 0))
        try:
            with os.scandir(opened) as found:
                yield found
        finally:
            os.close(opened)

    def _check(self) -> None:
        if self.outside:
            raise OutsideRoots(self.shown)


def place_of(given: str | Path, roots: Roots | None = None) -> Place:
    """The place that a path or URI names; relative paths are taken from the working folder.

    Args:
        roots: outside which nothing of it can be read. A local place may be outside, of which it tells.

    Raises:
        BadSource: a URI whose scheme nothing here can read, with the package that can; or one outside the roots.
    """
    text = str(given)
    if not is_uri(text):
        path = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 (resolve() would follow links)
        return Local(path, roots)
    parts = urlsplit(text)
    if parts.scheme.lower() == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadSource(f"{text!r} is on another machine, expected file:///...; mount it and name the path")
        path = Path(os.fsdecode(unquote_to_bytes(text.split("://", 1)[1].removeprefix(parts.netloc))))
        return Local(path, roots)
    from oneword.indexer.sources.remote import remote

    return remote(text, roots)


def is_uri(text: str) -> bool:
    """Whether it begins as `scheme://`."""
    return _SCHEME.match(text) is not None


def may_be_cited(uri: str, place: Place, schemes: Collection[str] = ()) -> bool:
    """Whether a URI that a table or a list names, which others may have written, is opened.

    http(s), which goes through the fetcher and its rules; files, for a table on this machine; what is in the same store
    as the table, or inside the roots; and the object stores whose schemes the user allows. Anything else would be
    opened with the user's credentials, or connect to whatever private host the URI says (ftp, smb, `::` chains).
    """
    scheme = uri.partition("://")[0].lower()
    if scheme in ("http", "https"):
        return True
    if scheme == "file":
        return isinstance(place, Local) or "file" in schemes
    if scheme not in CITED or "::" in uri:
        return False
    # With roots, those decide, and say so.
    return place.roots is not None or scheme in schemes or _store(uri) == _store(place.uri)


def _store(uri: str) -> tuple[str, str]:
    """The scheme and the bucket or host; memory has none."""
    parts = urlsplit(uri)
    return parts.scheme.lower(), "" if parts.scheme.lower() == "memory" else parts.netloc


def has_magic(text: str) -> bool:
    """Whether it holds a glob's signs."""
    return _MAGIC.search(text) is not None


def matching(pattern: str, roots: Roots | None = None) -> list[Place]:
    """The places that a glob matches, sorted; `**` is any number of folders. Raises BadSource, OSError."""
    if is_uri(pattern) and not pattern.lower().startswith("file://"):
        from oneword.indexer.sources.remote import remote

        return list(remote(pattern, roots).matching())
    from oneword.indexer.sources.globbing import found_in

    local = pattern.split("://", 1)[1].removeprefix("localhost") if is_uri(pattern) else pattern
    local = os.fsdecode(unquote_to_bytes(local)) if is_uri(pattern) else os.path.expanduser(local)  # noqa: PTH111
    return found_in(local, roots)


def as_on_disk(place: Place) -> Place:
    """The place, with each part of its name in the Unicode normal form that it has on the disk.

    A Mac writes é as two characters, other systems as one; what is called so in either form is found by both. A name
    that is there as it is written stays. Raises OSError.
    """
    if not isinstance(place, Local) or str(place.path).isascii() or place.exists():
        return place
    if place.parent == place or place.parent.outside:
        return place
    parent = as_on_disk(place.parent)
    if place.name.isascii() or not parent.is_folder():
        return parent.child(place.name)
    files, folders = parent.listing()
    wanted = normalize("NFC", place.name)
    return parent.child(next((one for one in (*files, *folders) if normalize("NFC", one) == wanted), place.name))


def printable(text: str) -> str:
    """`text`, with escapes for what no Unicode text can hold: bytes of file names that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def reason_of(error: BaseException) -> str:
    """What an error says, in one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(str(said).split()))
