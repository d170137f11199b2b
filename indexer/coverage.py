"""Which items of a collection belong to the paths of a job: only these may it delete when their input is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from oneword.engine.files import whole
from oneword.indexer.entry import SOURCE, id_of, input_of, path_of
from oneword.indexer.errors import BadSource, IndexerError
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.sources import is_url, kind_of
from oneword.indexer.sources.globs import Patterns, braces, has_magic, matches, matching
from oneword.indexer.sources.place import as_on_disk, is_uri, place_of, reason_of
from oneword.storage import Item


@dataclass(frozen=True)
class Claim:
    """The items that belong to one path of a job.

    parts: of the path or glob, in one normal form. literal: it names one place, even if it looks like a glob.
    """

    kind: SourceKind
    parts: tuple[str, ...]
    literal: bool
    patterns: Patterns

    def covers(self, item: Item) -> bool:
        """Whether an item whose input is gone belongs to this path."""
        source = item.metadata.get(SOURCE)
        if source is None and not _named_by_uri(item):
            return False  # a client's item, which may have any URI
        parts = _parts(str(source if source is not None else whole(item.uri)))
        return any(self._reaches("/".join(parts[end:]), source is not None) for end in self._ends(parts))

    def _reaches(self, below: str, is_source: bool) -> bool:
        """Whether a file, or a table or the like, is read when the folder is indexed in which `below` is its path."""
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
        """Whether the patterns include a file of a folder, given by its path in it."""
        hidden = any(part.startswith(".") for part in below.split("/"))
        return not hidden and self.patterns.included(below) and not self.patterns.excluded(below)

    def _ends(self, parts: Sequence[str]) -> list[int]:
        """How many leading parts of a place the path stands for; a glob may match at several lengths."""
        if self.literal:
            return [len(self.parts)] if tuple(parts[: len(self.parts)]) == self.parts else []
        return [end for end in range(1, len(parts) + 1) if matches(parts[:end], self.parts, hidden=False)]


def claims(paths: Sequence[str | Path], options: SourceOptions, gone: Sequence[str] = ()) -> list[Claim]:
    """The claims of all paths of a job. gone: paths that no longer exist."""
    found = [_claim(one, options) for path in paths for one in expanded(path, options)]
    return found + [_gone_claim(path, options) for path in gone]


def _claim(path: str, options: SourceOptions) -> Claim:
    """The claim of a path; of a glob, of what matches it."""
    url = is_url(path, options.kind)
    kind = SourceKind.URLS if url else _kind(path, options.kind)
    literal = url or not has_magic(path) or _exists(path)
    return Claim(kind, _absolute(path), literal, Patterns.of(options))


def _gone_claim(path: str, options: SourceOptions) -> Claim:
    """The claim of a path that no longer exists: what came from the place of exactly this name."""
    return Claim(options.kind, _absolute(path), True, Patterns.of(options))


def expanded(path: str | Path, options: SourceOptions) -> list[str]:
    """Returns the path, or what its braces expand to, unless it exists as it is written."""
    text = str(path)
    return [text] if is_url(text, options.kind) or "{" not in text or _exists(text) else braces(text)


def sort_out(
    paths: Sequence[str | Path], options: SourceOptions, items: Callable[[], Iterable[Sequence[Item]]]
) -> tuple[list[str | Path], dict[str, int]]:
    """Divides a job's paths into those to read, and those that are gone while items of theirs are stored.

    The latter come with their number of items. A name that looks like a glob, such as `photos[2024]`, may be that of a
    folder that is gone, and then does not stand for anything else that it matches.

    Args:
        items: all of the collection's.

    Raises:
        BadSource: a place cannot be reached, so that it may or may not be gone.
    """
    there: list[str | Path] = []
    counts: dict[str, int] = {}
    for path in (one for given in paths for one in expanded(given, options)):
        missing = bool(path) and not is_url(path, options.kind) and not _exists(path)
        own = [_gone_claim(path, options)] if missing else []
        if missing and has_magic(path) and not _matches_any(path):
            own.append(_claim(path, options))
        count = sum(any(one.covers(item) for one in own) for some in items() for item in some) if own else 0
        if count:
            counts[path] = count
        else:
            there.append(path)  # if it is gone, opening it reports that
    return there, counts


def is_absent(uri: str) -> bool:
    """Whether a file, table or the like certainly does not exist; False if that cannot be found out."""
    try:
        return not place_of(uri).exists()
    except (OSError, IndexerError):
        return False


def unmounted(uri: str) -> Path | None:
    """Returns the folder or link, nearest to a missing file, that looks like the place of an unmounted disk.

    That is an empty folder, or a link that leads nowhere.
    """
    path = path_of(uri)
    nearest = next((one for one in path.parents if os.path.lexists(one)), None) if path else None
    if nearest is None:
        return None
    try:
        with os.scandir(nearest) as found:
            return None if next(found, None) else nearest
    except NotADirectoryError:
        return None
    except OSError:
        return nearest


def _named_by_uri(item: Item) -> bool:
    return input_of(item) == id_of(item.uri)


def _kind(text: str, kind: SourceKind) -> SourceKind:
    """What an existing path is; AUTO for one that is gone."""
    if kind is not SourceKind.AUTO or not _exists(text):
        return kind
    return kind_of(as_on_disk(place_of(text)))


def _exists(path: str) -> bool:
    """Whether a path exists, in either normal form. Raises BadSource where that cannot be found out."""
    try:
        return as_on_disk(place_of(path)).exists()
    except OSError as error:
        raise BadSource(f"{path!r} cannot be reached ({reason_of(error)}); check the address and its keys") from error


def _matches_any(pattern: str) -> bool:
    try:
        return bool(matching(pattern))
    except OSError as error:
        raise BadSource(f"{pattern!r} cannot be reached ({reason_of(error)}); check who may read it") from error


def _absolute(text: str) -> tuple[str, ...]:
    try:
        return _parts(text if is_uri(text) and not text.lower().startswith("file:") else place_of(text).uri)
    except IndexerError:
        return _parts(text)


def _parts(uri: str) -> tuple[str, ...]:
    """The parts of a place, in Unicode's normal form C, since names in other forms are the same names."""
    path = path_of(uri)
    text = path.as_posix() if path else unquote(uri) if uri.startswith("file:") else uri
    return tuple(part for part in normalize("NFC", text).split("/") if part not in ("", "."))
