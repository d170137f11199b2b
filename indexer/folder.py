"""Files and folders as a source: which files are inputs, and what each is called."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine import images, texts
from indexer.captions import Captions
from indexer.errors import SourceNotFound


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One input: a picture or a text file, or a picture with its caption file.

    Args:
        path: absolute, as the user reaches it (links are not resolved).
        kind: "image" or "text", by the file's suffix.
        caption: the caption file to attach, if any.
        problem: why it cannot be read at all, if that was seen while walking.
    """

    path: Path
    kind: str
    caption: Path | None = None
    problem: str | None = None

    @property
    def uri(self) -> str:
        """file:// URI; percent-encoded, so that any file name has one."""
        return self.path.as_uri()

    @property
    def id(self) -> str:
        """First 16 hex digits of the URI's SHA-256: the same file is the same item, for ever."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What was found: inputs in a fixed order, and how many files of other kinds there were, by suffix."""

    entries: list[Entry]
    ignored: Counter[str] = field(default_factory=Counter)


def find(paths: Sequence[str | Path], captions: Captions = Captions.ATTACH) -> Listing:
    """Lists files and, recursively, folders. Hidden files and folders inside folders are passed over.

    Links are followed, each folder is entered once (so a link that leads back ends there), and each file
    stands once even if two paths lead to it. A file named outright is taken whatever its suffix: as a text
    if it is called one, else as a picture.

    Raises:
        SourceNotFound: a path does not exist, or none was given.
    """
    if not paths:
        raise SourceNotFound("no path given: expected at least one file or folder")
    files: dict[Path, str] = {}
    problems: dict[Path, str] = {}
    ignored: Counter[str] = Counter()
    for given in paths:
        path = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 (resolve() would follow links)
        if not os.path.lexists(path):
            raise SourceNotFound(f"path {str(given)!r} does not exist: expected a file or a folder")
        if not os.path.isdir(path):  # noqa: PTH112 (never raises)
            files[path] = "text" if path.suffix.lower() in texts.EXTENSIONS else "image"
            continue
        for file in _walk(path, problems):
            kind = _kind(file)
            if kind is None:
                ignored[file.suffix.lower() or "(no suffix)"] += 1
            else:
                files[file] = kind
    entries = _paired(files, captions)
    entries += [Entry(path=path, kind="folder", problem=problem) for path, problem in problems.items()]
    return Listing(entries=entries, ignored=ignored)


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in texts.EXTENSIONS:
        return "text"
    return "image" if suffix in images.EXTENSIONS else None


def _walk(root: Path, problems: dict[Path, str]) -> Iterator[Path]:
    """Files under `root` in sorted order; folders that cannot be listed end in `problems`."""

    def failed(error: OSError) -> None:
        problems[Path(error.filename)] = f"the folder cannot be listed ({error.strerror})"

    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=failed):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _paired(files: dict[Path, str], captions: Captions) -> list[Entry]:
    """Entries in the order of the files, with `.txt` files joined to pictures of the same stem."""
    if captions is Captions.SEPARATE:
        return [_entry(path, kind) for path, kind in files.items()]
    texts_by_stem = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
    pictures = {path.with_suffix("") for path, kind in files.items() if kind == "image"}
    entries = []
    for path, kind in files.items():
        if kind == "image":
            attached = texts_by_stem.get(path.with_suffix("")) if captions is Captions.ATTACH else None
            entries.append(_entry(path, kind, attached))
        elif path.suffix.lower() != ".txt" or path.with_suffix("") not in pictures:
            entries.append(_entry(path, kind))
    return entries


def _entry(path: Path, kind: str, caption: Path | None = None) -> Entry:
    """An entry, with its problem if it is a broken link, a pipe or the like (which must never be opened)."""
    problem = None
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            problem = "not a regular file"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    return Entry(path=path, kind=kind, caption=caption, problem=problem)
