"""Where a job's inputs come from: folders, tables, webdataset shards, saved data sets and URLs."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from oneword.engine.roots import OUTSIDE, Roots
from oneword.indexer.entry import Entry
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.sources.folder import FolderSource, walk
from oneword.indexer.sources.globs import Patterns, braces, has_magic, matching
from oneword.indexer.sources.place import (
    LocalPlace,
    Place,
    as_on_disk,
    is_uri,
    place_of,
    reason_of,
)
from oneword.indexer.sources.tables import TableSource, is_table, table_at
from oneword.storage.visible import visible

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Suffixes of webdataset shards, in lower case."""


class Source(Protocol):
    """Yields inputs one by one, always in the same order; its memory does not grow with their number.

    A file, shard or row that cannot be read is an `Entry` with its `problem`, and the rest goes on.
    """

    ignored: Counter[str]
    """Files that are not inputs, by suffix; complete once `entries` is exhausted."""

    @property
    def containers(self) -> frozenset[str]:
        """URIs of the tables, shards or lists that hold the inputs; none for files."""

    @property
    def total(self) -> int | None:
        """The number of inputs, where it is cheap to know."""

    def entries(self) -> Iterator[Entry]:
        """All inputs, from the start."""


def open_sources(
    paths: Sequence[str | Path], options: SourceOptions | None = None, roots: Roots | None = None
) -> list[Source]:
    """Opens the sources at some paths, in the order of the first path of each.

    A path is a local path or an fsspec URI, a glob of them (`data/**/*.parquet`) or, with braces, several
    (`shards-{000..010}.tar`); a path that exists as written is taken literally. The matches of a glob are kept in
    memory, the files of a folder are not: prefer `include` for millions of files.

    With `kind` "auto", an http(s) URL is an image's; a folder written by `datasets` is a data set, any other folder
    holds files; a file is a table or a shard by its name, otherwise an input itself. All paths of one kind are one
    source (each data set its own), so that captions find their images and a metadata key has one kind in all tables.

    Args:
        roots: nothing outside is read. None: no limit.

    Raises:
        SourceNotFound: a path does not exist, a glob matches nothing, or there is no path.
        BadSource: a path is not of the kind asked for, a column is missing, or a path is outside the roots, which is
            checked before anything is read.
    """
    options = options or SourceOptions()
    if not paths:
        raise SourceNotFound("no path given: expected at least one file or folder")
    check_roots(paths, options, roots)
    groups: dict[object, tuple[SourceKind, list[str | Place]]] = {}
    for given in paths:
        if not str(given):  # it would be the working folder
            raise SourceNotFound("a path is empty (''): expected a file or a folder; is a variable not set?")
        for found in [str(given)] if is_url(given, options.kind) else _expanded(str(given), roots):
            kind = kind_of(found) if options.kind is SourceKind.AUTO else options.kind
            key = (kind, repr(found)) if kind is SourceKind.DATASET else kind
            groups.setdefault(key, (kind, []))[1].append(found)
    return [_source(kind, found, options) for kind, found in groups.values()]


def _source(kind: SourceKind, found: Sequence[str | Place], options: SourceOptions) -> Source:
    patterns = Patterns.of(options)
    places = list({one.uri: one for one in found if isinstance(one, Place)}.values())
    match kind:
        case SourceKind.URLS:
            from oneword.indexer.sources.urls import UrlSource

            return UrlSource(found, options.allow_schemes)
        case SourceKind.TABLE:
            files = _files(places, patterns, is_table, "a table")
            return TableSource([table_at(one, options.delimiter) for one in files], options)
        case SourceKind.WEBDATASET:
            from oneword.indexer.sources.webdataset import WebDatasetSource

            return WebDatasetSource(_files(places, patterns, _is_tar, "a tar file"), options)
        case SourceKind.DATASET:
            from oneword.indexer.sources.datasets import dataset_source

            return dataset_source(places[0], options)
    return FolderSource(places, captions=options.captions, patterns=patterns)


def check_roots(paths: Sequence[str | Path], options: SourceOptions, roots: Roots | None) -> None:
    """Raises BadSource for a path outside the roots, without looking at it."""
    for given in map(str, paths if roots is not None else ()):
        assert roots is not None
        if not (roots.allow_uri(given) if is_url(given, options.kind) else not given or roots.allow_given(given)):
            raise BadSource(f"{visible(given)} {OUTSIDE}")


def is_url(given: str | Path, kind: SourceKind) -> bool:
    """Whether a path is an image's URL, which is taken literally."""
    return kind in (SourceKind.AUTO, SourceKind.URLS) and str(given).lower().startswith(("http://", "https://"))


def kind_of(found: str | Place) -> SourceKind:
    """Infers the kind of a place from its name and content. Raises BadSource."""
    if isinstance(found, str):
        return SourceKind.URLS
    try:
        if found.is_folder():
            return SourceKind.DATASET if _is_dataset(found) else SourceKind.FOLDER
    except OSError as error:
        raise BadSource(f"{found}: cannot be reached ({reason_of(error)}); check the address and its keys") from error
    if is_table(found.name):
        return SourceKind.TABLE
    return SourceKind.WEBDATASET if _is_tar(found.name) else SourceKind.FOLDER


def _is_dataset(folder: Place) -> bool:
    """Whether `datasets` saved it: one split with its Arrow files, or several (datasets:src/datasets/config.py).

    Other programs write a state.json into folders of images, too.
    """
    try:
        files, folders = folder.listing()
    except OSError:
        if not isinstance(folder, LocalPlace):
            raise
        return False  # an unlistable folder is one input that cannot be read, and the other paths go on
    if "state.json" in files and any(name.endswith(".arrow") for name in files):
        return "dataset_info.json" in files or _may_hold(folder.child("state.json"), b'"_data_files"')
    several = "dataset_dict.json" in files and _may_hold(folder.child("dataset_dict.json"), b'"splits"')
    return several and any(folder.child(name).child("state.json").exists() for name in folders)


def _may_hold(place: Place, key: bytes) -> bool:
    """Whether a JSON file holds a key. True for an unreadable file, so that the data set's error names it."""
    try:
        with place.open() as file:
            return key in file.read(2**20)
    except OSError:
        return True


def _expanded(given: str, roots: Roots | None) -> list[Place]:
    """The places that a path names: one, or more where it is a glob or has braces."""
    listings: dict[str, set[str]] = {}  # by folder, so that a store is asked once and not once per shard
    found: list[Place] = []
    try:
        place = as_on_disk(place_of(given, roots))
        if place.exists():
            return [place]
        for one in braces(given):
            if has_magic(one):
                if not (matched := matching(one, roots)):
                    raise SourceNotFound(f"{one!r} matches nothing: expected a glob of files or folders")
                found += matched
            elif one == given or not _exists(place := as_on_disk(place_of(one, roots)), listings):
                what = "expected a URI of a file or a folder" if is_uri(one) else "expected a file or a folder"
                raise SourceNotFound(f"path {one!r} does not exist: {what}")
            else:
                found.append(place)
    except OSError as error:
        raise BadSource(f"{given!r} cannot be reached ({reason_of(error)}); check the address and its keys") from error
    return found


def _exists(place: Place, listings: dict[str, set[str]]) -> bool:
    if isinstance(place, LocalPlace):
        return place.exists()
    folder = place.parent
    if folder.uri not in listings:
        files, folders = folder.listing() if folder.exists() else ([], [])
        listings[folder.uri] = {*files, *folders}
    return place.name in listings[folder.uri]


def _files(places: Sequence[Place], patterns: Patterns, fits: Callable[[str], bool], what: str) -> list[Place]:
    """The files given, and of folders, recursively and sorted, the files that fit."""
    found: dict[str, Place] = {}
    for place in places:
        inside: list[Place] = []
        try:
            folders = walk(place, patterns, set(), Counter()) if place.is_folder() else ()
        except OSError as error:
            raise BadSource(f"{place}: cannot be listed ({reason_of(error)}); check who may read it") from error
        for folder, path, files in folders:
            if isinstance(files, OSError):
                reason = f"cannot be listed ({reason_of(files)}); check who may read it"
                raise BadSource(f"{place}: {reason}") from files
            for name in files:
                taken = patterns.included(path + name) and not patterns.excluded(path + name)
                if taken and fits(name) and not name.startswith("."):
                    inside.append(folder.child(name))
        if folders and not inside:
            raise SourceNotFound(f"{place}: holds no file that is called as {what} is; name the files")
        found |= {one.uri: one for one in inside or [place]}
    return list(found.values())


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TAR_SUFFIXES)
