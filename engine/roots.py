"""Where content may be read from: folders of this machine and prefixes of URIs that an operator allowed."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from oneword.engine.errors import BadRoot

STORES = frozenset("s3 s3a gs gcs az abfs abfss adl hf oss memory".split())
"""Schemes of object stores, as fsspec calls them."""

_ALIASES = {"s3a": "s3", "gcs": "gs"}
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MAGIC = re.compile(r"[*?\[{]")
_STRANGE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_DECODINGS = 8  # times that one place may be encoded over another: nobody means more than one


class OutsideRoots(PermissionError):
    """Something lies outside the roots, or leads out of them. Does not say what the roots are."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"{shown} {OUTSIDE}")


OUTSIDE = "lies outside the roots that may be read from, or leads out of them; move it, or have its place allowed"
"""What is said of it."""


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Folders, all links in their names followed, and URIs cut into their parts. Everything else is outside.

    A hard link looks like any file of its folder: who can make one in a root can have its file read.
    """

    folders: tuple[str, ...]
    prefixes: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    """The same roots, as `of` takes them from any working folder."""

    @classmethod
    def of(cls, given: Sequence[str]) -> "Roots":
        """Reads folders (which exist) and URIs of http(s) and object stores.

        Raises:
            BadRoot: one that is neither.
        """
        folders, prefixes, texts = [], [], []
        for one in given:
            path = local_path(one)
            if path is None:
                prefixes.append(_prefix(one))
                texts.append(one)
                continue
            real = "" if "\0" in one else os.path.realpath(path)
            if not one or not os.path.isdir(real):  # noqa: PTH112
                raise BadRoot(f"root {one!r} is no folder: expected one that exists, or a URI such as s3://bucket/a")
            folders.append(real)
            texts.append(real)
        return cls(folders=tuple(folders), prefixes=tuple(prefixes), texts=tuple(texts))

    def allow(self, place: str) -> bool:
        """Whether a path or URI is in a root, as far as that shows without opening it."""
        path = local_path(place)
        return self.allow_uri(place) if path is None else self.allow_path(path)

    def allow_path(self, path: str | Path) -> bool:
        """Whether a path, all links followed, is in a folder. It need not exist."""
        try:
            return self._hold(os.path.realpath(path))
        except (OSError, ValueError):  # ValueError: a zero byte
            return False

    def allow_uri(self, uri: str) -> bool:
        """Whether a URI that is no file's begins, part by part, as a root does."""
        parts = _parts(uri)
        return parts is not None and any(parts[: len(one)] == one for one in self.prefixes)

    def allow_given(self, text: str) -> bool:
        """Whether what a user gives, which may be a glob or have braces, can lead nowhere else.

        What stands before a glob's first sign must be in a root, and nothing after it may lead up.
        """
        magic = _MAGIC.search(text)
        if magic is None or text.lower().startswith(("http://", "https://")) or self._is_there(text):
            return self.allow(text)
        before, after = text[: magic.start()], text[magic.start() :]
        if ".." in re.split(r"[/{},]", after):
            return False
        if local_path(text) is None:
            return self.allow_uri(text)
        return self.allow(before.rpartition("/")[0] or ("/" if before.startswith("/") else "."))

    def open(self, path: Path, flags: int = 0) -> int:
        """Opens a file or folder to read, and makes sure that what was opened is in a root, whatever changes meanwhile.

        Returns:
            A file descriptor, which the caller closes. A pipe does not wait for its writer.

        Raises:
            OutsideRoots
            OSError: it cannot be opened.
        """
        real = os.path.realpath(path)
        if not self._hold(real):
            raise OutsideRoots(str(path))
        flags |= os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        opened = os.open(real, flags)  # not `path`, whose links another could have set anew
        try:
            if not self._hold(_place_of(opened, real)):
                raise OutsideRoots(str(path))
        except BaseException:
            os.close(opened)
            raise
        return opened

    def _hold(self, real: str) -> bool:
        return any(real == one or real.startswith(one.rstrip(os.sep) + os.sep) for one in self.folders)

    def _is_there(self, text: str) -> bool:
        """Whether it is a name in a root, whatever signs it holds."""
        path = local_path(text)
        return path is not None and self.allow_path(path) and os.path.lexists(path)


def local_path(text: str) -> Path | None:
    """The absolute path that a path or a file:// URI names, links as they are; None for other URIs and machines."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 (resolve() would follow links)
    if scheme[1].lower() != "file":
        return None
    rest = text[scheme.end() :]
    host = rest.partition("/")[0]
    if host not in ("", "localhost"):
        return None
    return Path(os.fsdecode(unquote_to_bytes(rest.removeprefix(host))))


def _place_of(opened: int, real: str) -> str:
    """Where an open file is now; "" where that cannot be told."""
    if sys.platform == "linux":
        try:
            return os.readlink(f"/proc/self/fd/{opened}")  # noqa: PTH115
        except OSError:  # no /proc
            pass
    again = os.path.realpath(real)
    return again if os.path.samestat(os.fstat(opened), os.lstat(again)) else ""


def _prefix(uri: str) -> tuple[str, ...]:
    parts = _parts(uri.rstrip("/"))
    scheme = uri.partition("://")[0].lower()
    if parts is None or (scheme in _PORTS and re.search(r"[?#]", uri)):
        raise BadRoot(
            f"root {uri!r}: expected a folder, or a URI of http, https, {', '.join(sorted(STORES))} with a host or "
            "bucket, without user, query, '.' and '..'"
        )
    return parts


def _parts(uri: str) -> tuple[str, ...] | None:
    """Scheme, host or bucket, and each part of the path, so that equal places are equal; None for what is not clear."""
    found = _SCHEME.match(uri)
    if found is None or _STRANGE.search(uri):
        return None
    scheme = found[1].lower()
    if scheme in STORES:
        rest = uri[found.end() :]
        if "::" in rest:  # a chain of fsspec's, of which this is the first link only
            return None
        if scheme == "memory":  # which has no hosts, and is written either way
            rest = rest.lstrip("/")
        place, *path = rest.split("/")
    elif scheme in _PORTS:
        try:
            split = urlsplit(uri)
            host, port = (split.hostname or "").rstrip("."), split.port
        except ValueError:
            return None
        place = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
        if "@" in split.netloc:
            return None
        path = split.path.split("/")[1:]
    else:
        return None
    if not place or "@" in place or any(_leads_away(one) for one in (place, *path)):
        return None
    if scheme in _PORTS:
        path = [unquote(one, errors="surrogateescape") for one in path]
    return (_ALIASES.get(scheme, scheme), place, *path)


def _leads_away(part: str) -> bool:
    """Whether a part of a path is, for some reader of it, '.' or '..', or holds such."""
    for _ in range(_DECODINGS):
        if any(one.partition(";")[0] in (".", "..") for one in re.split(r"[/\\]", part)):
            return True
        decoded = unquote(part, errors="surrogateescape")
        if decoded == part:
            return False
        part = decoded
    return True
