"""Which source each path is."""

from collections.abc import Callable, Sequence
from pathlib import Path

from oneword.engine.roots import OUTSIDE, Roots
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.sources.folder import FolderSource, is_passed_over
from oneword.indexer.sources.options import SourceKind, SourceOptions
from oneword.indexer.sources.patterns import Patterns
from oneword.indexer.sources.place import (
    Local,
    Place,
    as_on_disk,
    has_magic,
    is_uri,
    matching,
    place_of,
    reason_of,
)
from oneword.indexer.sources.source import Source
from oneword.indexer.sources.table import Part, TableSource, is_table, table_at
from oneword.storage.visible import visible

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Names of shards end so, in lower case."""


def open_sources(
    paths: Sequence[str | Path], options: SourceOptions | None = None, roots: Roots | None = None
) -> list[Source]:
    """The sources that some paths are.

    A path may be a local path or an fsspec URI, a glob of them (`data/**/*.parquet`) or, with braces, several
    (`shards-{000..010}.tar`): what exists as it is written is taken as it is written. What a glob matches is kept in
    the memory, what is in a folder is not: for millions of files, `include` is the better way.

    With `kind` "auto", an http(s) URL is a picture's; a folder that `datasets` saved is a data set, any
    other a folder of files; a file is a table or a shard by its name, else an input itself. All paths of one kind are
    one source (data sets one each), so that captions find their pictures and a metadata key has one kind in all
    tables.

    Args:
        roots: outside which nothing is read; None: anything may be.

    Returns:
        Sources in the order of the first path of each.

    Raises:
        SourceNotFound: a path does not exist, a glob matches nothing, or no path was given.
        BadSource: a path is not what it is said to be, or a column is not there; or a path is outside the roots,
            which is seen before anything is read.
    """
    options = options or SourceOptions()
    if not paths:
        raise SourceNotFound("no path given: expected at least one file or folder")
    check_roots(paths, options, roots)
    groups: dict[object, tuple[SourceKind, list[str | Place]]] = {}
    for given in paths:
        if not str(given):  # which would be the working folder
            raise SourceNotFound("a path is empty (''): expected a file or a folder; is a variable not set?")
        for found in [str(given)] if is_url(given, options.kind) else _expanded(given, roots):
            kind = kind_of(found) if options.kind is SourceKind.AUTO else options.kind
            key = (kind, str(found)) if kind is SourceKind.DATASET else kind
            groups.setdefault(key, (kind, []))[1].append(found)
    return [_source(kind, found, options) for kind, found in groups.values()]


def _source(kind: SourceKind, found: Sequence[str | Place], options: SourceOptions) -> Source:
    patterns = Patterns(include=options.include, exclude=options.exclude)
    places = list({one.uri: one for one in found if isinstance(one, Place)}.values())
    match kind:
        case SourceKind.URLS:
            from oneword.indexer.sources.urls import UrlSource

            return UrlSource(found, options.allow_schemes)
        case SourceKind.TABLE:
            files = _files(places, patterns, is_table, "a table")
            return TableSource([Part(table=table_at(one, options.delimiter)) for one in files], options)
        case SourceKind.WEBDATASET:
            from oneword.indexer.sources.webdataset import WebDatasetSource

            return WebDatasetSource(_files(places, patterns, _is_tar, "a tar file"), options)
        case SourceKind.DATASET:
            from oneword.indexer.sources.dataset import dataset_source

            return dataset_source(places[0], options)
    return FolderSource(places, captions=options.captions, patterns=patterns)


def check_roots(paths: Sequence[str | Path], options: SourceOptions, roots: Roots | None) -> None:
    """Raises BadSource for a path outside the roots, at which nobody has looked by then."""
    for given in map(str, paths if roots is not None else ()):
        assert roots is not None
        inside = roots.allow_uri(given) if is_url(given, options.kind) else not given or roots.allow_given(given)
        if not inside:
            raise BadSource(f"{visible(given)} {OUTSIDE}")


def is_url(given: str | Path, kind: SourceKind) -> bool:
    """Whether a path is a picture's URL, which is taken as it is written."""
    return kind in (SourceKind.AUTO, SourceKind.URLS) and str(given).lower().startswith(("http://", "https://"))


def kind_of(found: str | Place) -> SourceKind:
    """What a place is by its name and by what is in it. Raises BadSource."""
    if isinstance(found, str):
        return SourceKind.URLS
    try:
        if found.is_folder():
            return SourceKind.DATASET if _is_dataset(found) else SourceKind.FOLDER
    except OSError as error:
        raise BadSource(
            f"{found.shown}: cannot be reached ({reason_of(error)}); check the address and its keys"
        ) from error
    if is_table(found.name):
        return SourceKind.TABLE
    return SourceKind.WEBDATASET if _is_tar(found.name) else SourceKind.FOLDER


def _is_dataset(folder: Place) -> bool:
    """Whether `datasets` saved it: one split with its Arrow files, or several (datasets:src/datasets/config.py).

    Other programs, too, write a state.json into a folder of images.
    """
    try:
        files, folders = folder.listing()
    except OSError:
        if not isinstance(folder, Local):
            raise
        return False  # a folder that cannot be listed is one input that cannot be read, and the other paths go on
    if "state.json" in files and any(name.endswith(".arrow") for name in files):
        return "dataset_info.json" in files or _says(folder.child("state.json"), b'"_data_files"')
    marked = "dataset_dict.json" in files and _says(folder.child("dataset_dict.json"), b'"splits"')
    return marked and any(folder.child(name).child("state.json").exists() for name in folders)


def _says(place: Place, key: bytes) -> bool:
    """Whether a JSON file has a key; one that cannot be read may have it, and is then told as what it should be."""
    try:
        with place.open() as file:
            return key in file.read(2**20)
    except OSError:
        return True


def _expanded(given: str | Path, roots: Roots | None) -> list[Place]:
    """The places that a path names: one, or more where it is a glob or has braces."""
    text = str(given)
    listed: dict[str, set[str]] = {}  # by the folder: a store is asked once, not once a shard
    try:
        place = as_on_disk(place_of(given, roots))
        if place.exists():
            return [place]
        found: list[Place] = []
        for one in braces(text):
            if has_magic(one):
                found += (matched := matching(one, roots))
                if not matched:
                    raise SourceNotFound(f"{one!r} matches nothing: expected a glob of files or folders")
            elif one == text or not _is_there(place := as_on_disk(place_of(one, roots)), listed):
                what = "expected a URI of a file or a folder" if is_uri(one) else "expected a file or a folder"
                raise SourceNotFound(f"path {one!r} does not exist: {what}")
            else:
                found.append(place)
    except OSError as error:
        raise BadSource(f"{text!r} cannot be reached ({reason_of(error)}); check the address and its keys") from error
    return found


def _is_there(place: Place, listed: dict[str, set[str]]) -> bool:
    if isinstance(place, Local):
        return place.exists()
    folder = place.parent
    if folder.uri not in listed:
        files, folders = folder.listing() if folder.exists() else ([], [])
        listed[folder.uri] = {*files, *folders}
    return place.name in listed[folder.uri]


def braces(text: str) -> list[str]:
    """Returns the paths that one with braces stands for. Raises BadSource, SourceNotFound."""
    if "{" not in text:
        return [text]
    try:
        from braceexpand import UnbalancedBracesError, braceexpand
    except ImportError as error:
        raise BadSource(f"{text!r} has braces, which braceexpand reads; install oneword[sources]") from error
    try:
        return list(braceexpand(text))
    except UnbalancedBracesError as error:
        raise SourceNotFound(f"path {text!r} does not exist, and its braces do not match ({error})") from error


def _files(places: Sequence[Place], patterns: Patterns, fits: Callable[[str], bool], what: str) -> list[Place]:
    """Files as they are named, and of folders those that fit, in sorted order."""
    found: list[Place] = []
    for place in places:
        try:
            if not place.is_folder():
                found.append(place)
                continue
            inside = list(_inside(place, "", patterns, fits, set()))
        except OSError as error:
            raise BadSource(f"{place.shown}: cannot be listed ({reason_of(error)}); check who may read it") from error
        if not inside:
            raise SourceNotFound(f"{place.shown}: holds no file that is called as {what} is; name the files")
        found += inside
    return list({one.uri: one for one in found}.values())


def _inside(
    folder: Place, path: str, patterns: Patterns, fits: Callable[[str], bool], entered: set[object]
) -> list[Place]:
    if (identity := folder.identity) in entered:
        return []
    entered.add(identity)
    files, folders = folder.listing()
    found = [
        folder.child(name)
        for name in files
        if not name.startswith(".")
        and fits(name)
        and patterns.included(path + name)
        and not patterns.excluded(path + name)
    ]
    for name in folders:
        if not is_passed_over(name) and not patterns.excluded(path + name):
            found += _inside(folder.child(name), f"{path}{name}/", patterns, fits, entered)
    return found


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TARS)
