"""Which items of a collection the paths of a job answer for: what a job may delete when its input is gone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from indexer.entry import SOURCE, id_of, path_of
from indexer.errors import IndexerError
from indexer.sources.choosing import braces, is_url, kind_of
from indexer.sources.options import SourceKind, SourceOptions
from indexer.sources.patterns import Patterns
from indexer.sources.place import has_magic, is_uri, matching, place_of
from storage import Item


@dataclass(frozen=True)
class Claim:
    """What one path of a job answers for.

    parts: of the path or glob, in one normal form. literal: it names one place; its signs are no glob's.
    """

    kind: SourceKind
    parts: tuple[str, ...]
    literal: bool
    patterns: Patterns

    def covers(self, item: Item) -> bool:
        """Whether an item that no input stands for any more is this path's to delete."""
        source = item.metadata.get(SOURCE)
        if source is None and not _named_by_uri(item):
            return False  # a client's item, which may have any URI
        parts = _parts(str(source if source is not None else item.uri))
        return any(self._reaches("/".join(parts[end:]), source is not None) for end in self._ends(parts))

    def _reaches(self, below: str, is_source: bool) -> bool:
        """Whether a file, or a table or the like, is read when the place that it is `below` is indexed."""
        if not below:
            return True
        match self.kind:
            case SourceKind.URLS:
                return False
            case SourceKind.DATASET:
                return is_source
            case SourceKind.TABLE | SourceKind.WEBDATASET:
                return is_source and self._takes(below)
            case SourceKind.FOLDER:
                return not is_source and self._takes(below)
        return (self.literal or not is_source) and self._takes(below)

    def _takes(self, below: str) -> bool:
        """Whether a folder's file, given by its path in it, is among those that the patterns let in."""
        hidden = any(part.startswith(".") for part in below.split("/"))
        return not hidden and self.patterns.included(below) and not self.patterns.excluded(below)

    def _ends(self, parts: Sequence[str]) -> list[int]:
        """How many leading parts of a place are what the path names; a glob may match at several lengths."""
        if self.literal:
            return [len(self.parts)] if tuple(parts[: len(self.parts)]) == self.parts else []
        return [end for end in range(1, len(parts) + 1) if _matches(parts[:end], self.parts)]


class Coverage:
    """The claims of all paths of a job."""

    def __init__(self, paths: Sequence[str | Path], options: SourceOptions) -> None:
        self._claims = [claim for path in paths for claim in claims(path, options)]

    def covers(self, item: Item) -> bool:
        """Whether one of the paths answers for the item."""
        return any(claim.covers(item) for claim in self._claims)


def claims(path: str | Path, options: SourceOptions) -> list[Claim]:
    """Returns what a path answers for; one that no longer exists answers for what it would have named."""
    patterns = Patterns(include=options.include, exclude=options.exclude)
    found = []
    for one in expanded(path, options):
        kind = SourceKind.URLS if is_url(one, options.kind) else _kind(one, options.kind)
        literal = kind is SourceKind.URLS or not has_magic(one) or _exists(one)
        found.append(Claim(kind, _absolute(one), literal=literal, patterns=patterns))
    return found


def expanded(path: str | Path, options: SourceOptions) -> list[str]:
    """Returns the path, or those that its braces stand for, unless it exists as it is written."""
    text = str(path)
    return [text] if is_url(text, options.kind) or "{" not in text or _exists(text) else braces(text)


def is_gone(path: str, options: SourceOptions) -> bool:
    """Whether a path that names something local or in a store names nothing now. Raises BadSource."""
    if is_url(path, options.kind) or not path or _exists(path):
        return False
    return not (has_magic(path) and matching(path))


def still_there(item: Item) -> bool:
    """Whether the file that an item was made of exists. A caption may have become part of its image's item."""
    if SOURCE in item.metadata or item.uri.lower().endswith(".txt"):
        return False
    path = path_of(item.uri)
    return path is not None and os.path.lexists(path)


def empty_folder(item: Item) -> Path | None:
    """Returns the folder nearest to an item's missing file if nothing at all is in it, as in an unmounted disk's."""
    path = path_of(str(item.metadata.get(SOURCE, item.uri)))
    folder = next((one for one in path.parents if one.exists()), None) if path else None
    if folder is None:
        return None
    try:
        with os.scandir(folder) as found:
            return None if next(found, None) else folder
    except OSError:
        return folder  # it cannot be listed, so nobody knows


def _named_by_uri(item: Item) -> bool:
    return str(item.metadata.get("document", item.id)) == id_of(item.uri)


def _kind(text: str, kind: SourceKind) -> SourceKind:
    """What an existing path is; AUTO for one that is gone, and may have been anything."""
    if kind is not SourceKind.AUTO or not _exists(text):
        return kind
    return kind_of(place_of(text))


def _exists(path: str) -> bool:
    """Whether a path is there as it is written; of a place that cannot be reached nobody knows."""
    try:
        return place_of(path).exists()
    except (OSError, IndexerError):
        return False


def _absolute(text: str) -> tuple[str, ...]:
    try:
        return _parts(text if is_uri(text) and not text.lower().startswith("file:") else place_of(text).uri)
    except IndexerError:
        return _parts(text)


def _parts(uri: str) -> tuple[str, ...]:
    """A place in parts, in Unicode's normal form C: a name in another form is the same name."""
    path = path_of(uri)
    text = path.as_posix() if path else unquote(uri) if uri.startswith("file:") else uri
    return tuple(part for part in normalize("NFC", text).split("/") if part not in ("", "."))


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """As `glob` matches: `**` stands for any number of folders, and no sign for a leading dot."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return _matches(parts, wanted[1:]) or bool(
            parts and not parts[0].startswith(".") and _matches(parts[1:], wanted)
        )
    if not parts or (parts[0].startswith(".") and not wanted[0].startswith(".")):
        return False
    same = fnmatchcase(parts[0], wanted[0]) if has_magic(wanted[0]) else parts[0] == wanted[0]
    return same and _matches(parts[1:], wanted[1:])
