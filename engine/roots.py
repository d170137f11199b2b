"""The folders and URI prefixes that an operator allows content to be read from."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from oneword.engine.errors import BadRoot

OBJECT_STORES = frozenset("s3 s3a gs gcs az abfs abfss adl hf oss memory".split())
"""URI schemes of object stores in fsspec."""

OUTSIDE = "lies outside the roots that may be read from, or leads out of them; move it, or have its place allowed"
"""Why a place outside the roots is refused."""

_ALIASES = {"s3a": "s3", "gcs": "gs"}
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MAGIC = re.compile(r"[*?\[{]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_MAX_DECODINGS = 8  # layers of percent-encoding; more than one is never meant


class OutsideRoots(PermissionError):
    """A place is outside the roots, or leads out of them. The message does not name the roots."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"{shown} {OUTSIDE}")


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Real paths of folders, and URI prefixes in parts. Everything else is outside.

    A hard link is like any file of its folder: a user who can create one in a root can have its file read.
    """

    folders: tuple[str, ...]
    prefixes: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    """The same roots as arguments for `of`, independent of the working folder."""

    @classmethod
    def of(cls, given: Sequence[str]) -> "Roots":
        """Parses existing folders, and URIs of http(s) and object stores.

        Raises:
            BadRoot: one is neither.
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
                raise BadRoot(f"root {one!r} is not a folder: expected one that exists, or a URI such as s3://bucket/a")
            folders.append(real)
            texts.append(real)
        return cls(folders=tuple(folders), prefixes=tuple(prefixes), texts=tuple(texts))

    def allow(self, place: str) -> bool:
        """Whether a path or URI is in a root, as far as that shows without opening it."""
        path = local_path(place)
        return self.allow_uri(place) if path is None else self.allow_path(path)

    def allow_path(self, path: str | Path) -> bool:
        """Whether a path, which need not exist, is in a root after all its links are resolved."""
        try:
            return self._hold(os.path.realpath(path))
        except (OSError, ValueError):  # ValueError: a zero byte
            return False

    def allow_uri(self, uri: str) -> bool:
        """Whether a URI, other than of a file, begins part by part as a root does."""
        parts = _parts(uri)
        return parts is not None and any(parts[: len(one)] == one for one in self.prefixes)

    def allow_given(self, text: str) -> bool:
        """Whether a user's path or URI, perhaps with a glob or braces, can lead only into a root.

        The part before the first glob character must be in a root, and nothing after it may lead up.
        """
        magic = _MAGIC.search(text)
        if magic is None or text.lower().startswith(("http://", "https://")) or self._exists(text):
            return self.allow(text)
        before, after = text[: magic.start()], text[magic.start() :]
        if ".." in re.split(r"[/{},]", after):
            return False
        if local_path(text) is None:
            return self.allow_uri(text)
        return self.allow(before.rpartition("/")[0] or ("/" if before.startswith("/") else "."))

    def open(self, path: Path, flags: int = 0) -> int:
        """Opens a file or folder to read, and verifies that the opened file is in a root, whatever changes meanwhile.

        Returns:
            A file descriptor, which the caller closes. Opening a pipe does not wait for its writer.

        Raises:
            OutsideRoots
            OSError: it cannot be opened.
        """
        real = os.path.realpath(path)
        if not self._hold(real):
            raise OutsideRoots(str(path))
        flags |= os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(real, flags)  # not `path`, whose links may have been changed since
        try:
            if not self._hold(_path_of_descriptor(descriptor, real)):
                raise OutsideRoots(str(path))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _hold(self, real: str) -> bool:
        return any(real == one or real.startswith(one.rstrip(os.sep) + os.sep) for one in self.folders)

    def _exists(self, text: str) -> bool:
        """Whether it is the literal name of something in a root."""
        path = local_path(text)
        return path is not None and self.allow_path(path) and os.path.lexists(path)


def local_path(text: str) -> Path | None:
    """The absolute path of a path or file:// URI, links unresolved; None for other URIs and other machines."""
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


def _path_of_descriptor(descriptor: int, real: str) -> str:
    """The path of an open file now; "" where it cannot be determined."""
    if sys.platform == "linux":
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        except OSError:  # no /proc
            pass
    again = os.path.realpath(real)
    return again if os.path.samestat(os.fstat(descriptor), os.lstat(again)) else ""


def _prefix(uri: str) -> tuple[str, ...]:
    parts = _parts(uri.rstrip("/"))
    scheme = uri.partition("://")[0].lower()
    if parts is None or (scheme in _PORTS and re.search(r"[?#]", uri)):
        raise BadRoot(
            f"root {uri!r}: expected a folder, or a URI of http, https, {', '.join(sorted(OBJECT_STORES))} with a host "
            "or bucket, without user, query, '.' and '..'"
        )
    return parts


def _parts(uri: str) -> tuple[str, ...] | None:
    """Scheme, host or bucket, and the parts of the path, normalized so that equal places are equal.

    None for a URI whose readers may disagree about where it leads.
    """
    found = _SCHEME.match(uri)
    if found is None or _CONTROL.search(uri):
        return None
    scheme = found[1].lower()
    if scheme in OBJECT_STORES:
        rest = uri[found.end() :]
        if "::" in rest:  # a chain of URIs in fsspec, and this is only the first
            return None
        host, *path = (rest.lstrip("/") if scheme == "memory" else rest).split("/")  # memory:// has no hosts
    elif scheme in _PORTS:
        try:
            split = urlsplit(uri)
            host, port = (split.hostname or "").rstrip("."), split.port
        except ValueError:
            return None
        if "@" in split.netloc:
            return None
        host = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
        path = split.path.split("/")[1:]
    else:
        return None
    if not host or "@" in host or any(_leads_away(one) for one in (host, *path)):
        return None
    if scheme in _PORTS:
        path = [unquote(one, errors="surrogateescape") for one in path]
    return (_ALIASES.get(scheme, scheme), host, *path)


def _leads_away(part: str) -> bool:
    """Whether some reader takes a part of a path as, or as holding, '.' or '..'."""
    for _ in range(_MAX_DECODINGS):
        if any(one.partition(";")[0] in (".", "..") for one in re.split(r"[/\\]", part)):
            return True
        decoded = unquote(part, errors="surrogateescape")
        if decoded == part:
            return False
        part = decoded
    return True
