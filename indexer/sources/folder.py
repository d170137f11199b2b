"""Files and folders as a source: which files are inputs, and what each is called."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from oneword.engine import images, pdf, texts, tiff, video
from oneword.engine.roots import OUTSIDE
from oneword.indexer.entry import OUTSIDE_ROOTS, Entry, Reference, failed, id_of
from oneword.indexer.options import Captions
from oneword.indexer.sources.globs import Patterns
from oneword.indexer.sources.place import Place, is_system_folder, printable, reason_of
from oneword.storage import Metadata

ARCHIVES = (
    *(".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tbz2", ".txz", ".tar"),
    *(".zip", ".7z", ".rar", ".cbz", ".cbr", ".gz", ".bz2", ".xz", ".zst", ".iso", ".dmg"),
)
"""Suffixes of files that hold others, in lower case. They are not opened below a folder."""

UNREADABLE_FOLDER = "UnreadableFolder"
"""Kind of the problem of a folder whose files are unknown."""


class FolderSource:
    """Files named by the user and, recursively, folders. Whatever is hidden or no input is counted.

    Links are followed and each folder is entered once, so that a link that leads back ends there and a file that two
    of the paths lead to is read once. A file named by the user is taken whatever its suffix: as a text if it has a
    text's suffix, else as an image or a document. In memory are the names of one folder, and an identity for each
    folder entered.

    Args:
        places: what the user named; each exists.
        captions: what a `.txt` beside an image of the same stem is.
        patterns: which files of folders count. A caption comes with its image, unless it is excluded itself.
    """

    total: int | None = None
    containers: frozenset[str] = frozenset()

    def __init__(
        self, places: Sequence[Place], *, captions: Captions = Captions.ATTACH, patterns: Patterns | None = None
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self._places = places
        self._captions = captions
        self._patterns = patterns or Patterns()

    def entries(self) -> Iterator[Entry]:
        """Each folder in the order given, its files by name before its folders; then other files."""
        self.ignored.clear()
        named: dict[str, dict[str, Place]] = {}  # by folder, then by name
        roots = []
        for place in self._places:
            if _is_folder(place):
                roots.append(place)
            else:
                named.setdefault(place.parent.uri, {})[place.name] = place
        entered: set[object] = set()
        for root in roots:
            for folder, path, files in walk(root, self._patterns, entered, self.ignored):
                if isinstance(files, OSError):
                    reason = f"{folder}: the folder cannot be listed ({reason_of(files)})"
                    yield failed(folder.uri, UNREADABLE_FOLDER, reason)
                else:
                    yield from self._paired(folder, self._kinds(folder, path, files, named.pop(folder.uri, {})))
        for others in named.values():
            kinds = {name: _kind(place) or "document" for name, place in others.items()}
            yield from self._paired(next(iter(others.values())).parent, kinds)

    def _kinds(
        self, folder: Place, path: str, files: Sequence[str], named: Mapping[str, Place]
    ) -> dict[str, str | None]:
        """The kind of each input by name, in order; None for captions that are taken with an image only."""
        kinds: dict[str, str | None] = {}
        for name in files:
            kind = _kind(folder.child(name))
            if name in named:
                kinds[name] = kind or "document"
            elif name.startswith("."):
                self.ignored["hidden files"] += 1
            elif self._patterns.excluded(path + name):
                continue
            elif self._patterns.included(path + name):
                if kind is None:
                    self.ignored[_stranger(name)] += 1
                elif kind == "document" and (lacking := _lacking(name)):
                    self.ignored[f"{_stranger(name)} ({lacking})"] += 1
                elif kind == "document" and _is_live(name, files):
                    self.ignored["videos of live photos"] += 1
                else:
                    kinds[name] = kind
            elif _is_caption(name):
                kinds[name] = None
        return kinds

    def _paired(self, folder: Place, kinds: Mapping[str, str | None]) -> Iterator[Entry]:
        """The entries of one folder, with `.txt` files joined to the images that they are named after.

        `photo.jpg.txt` is the caption of photo.jpg alone, and precedes `photo.txt`. Names are compared in one normal
        form, as a caption may come from a machine that writes é in another way.
        """
        captions = {normalize("NFC", _stem(name)): name for name in kinds if _is_caption(name)}
        captions |= {_stem(name): name for name in kinds if _is_caption(name)}
        caption_of: dict[str, str] = {}
        for name in (name for name, kind in kinds.items() if kind == "image"):
            keys = (name, normalize("NFC", name), _stem(name), normalize("NFC", _stem(name)))
            if caption := next((captions[key] for key in keys if key in captions), None):
                caption_of[name] = caption
        joined = set(caption_of.values()) if self._captions is not Captions.SEPARATE else set()
        for name, kind in kinds.items():
            if kind == "image":
                caption = caption_of.get(name) if self._captions is Captions.ATTACH else None
                yield _entry(folder.child(name), kind, folder.child(caption) if caption else None)
            elif kind and name not in joined:
                yield _entry(folder.child(name), kind)


def walk(
    root: Place, patterns: Patterns, entered: set[object], ignored: Counter[str]
) -> Iterator[tuple[Place, str, list[str] | OSError]]:
    """Each folder, its path below the root with a slash at the end, and its file names or why it cannot be listed.

    Args:
        entered: identities of the folders so far; each is entered once.
        ignored: counts the folders below the root that are hidden, the system's, or marked by a `.nomedia` file.
    """
    pending = [(root, "")]
    while pending:
        folder, path = pending.pop()
        try:
            if (identity := folder.identity) in entered:
                continue
            files, folders = folder.listing()
        except OSError as error:
            yield folder, path, error
            continue
        if path and ".nomedia" in files:
            ignored["folders with .nomedia"] += 1
            continue
        entered.add(identity)
        yield folder, path, files
        for name in reversed(folders):
            if is_system_folder(name):
                ignored["hidden folders" if name.startswith(".") else f"folders {printable(name)}"] += 1
            elif not patterns.excluded(path + name):
                pending.append((folder.child(name), f"{path}{name}/"))


def _entry(place: Place, kind: str, caption: Place | None = None) -> Entry:
    """An entry, with its problem if it is a broken link, a pipe or the like (which must never be opened)."""
    if place.outside:
        return failed(place.uri, OUTSIDE_ROOTS, f"{place}: {OUTSIDE}")
    if fault := place.fault():
        return failed(place.uri, "UnreadableFile", f"{place}: {fault}")
    uri = place.uri
    names = {"name": place.name, "folder": place.parent.name, "format": place.suffix.lstrip(".")}
    metadata: dict[str, Metadata] = {key: printable(value) for key, value in names.items() if value}
    if kind == "text":
        return Entry(id=id_of(uri), uri=uri, origin=uri, text=Reference(uri=uri), metadata=metadata)
    return Entry(
        id=id_of(uri),
        uri=uri,
        origin=uri,
        image=Reference(uri=uri),
        text=Reference(uri=caption.uri) if caption else None,
        metadata=metadata,
        divisible=kind == "document" or place.suffix in tiff.EXTENSIONS,
    )


def _kind(place: Place) -> str | None:
    """What a name says: "text"; "image"; "document", an image or a file of several; None: no input."""
    if place.suffix in texts.EXTENSIONS:
        return "text"
    if place.suffix in pdf.EXTENSIONS or place.suffix in video.EXTENSIONS:
        return "document"
    return "image" if place.suffix in images.EXTENSIONS else None


def _lacking(name: str) -> str | None:
    """What is to be installed to read a document; None: nothing."""
    module = pdf if PurePosixPath(name).suffix.lower() in pdf.EXTENSIONS else video
    return None if module.installed() else module.INSTALL


def _is_live(name: str, files: Sequence[str]) -> bool:
    """Whether a video belongs to a live photo: a HEIC photograph of the same name, which stands for both."""
    stem, suffix = _stem(name), PurePosixPath(name).suffix.lower()
    return suffix == ".mov" and not {f"{stem}.heic", f"{stem}.HEIC"}.isdisjoint(files)


def _stranger(name: str) -> str:
    """How a file that is not an input is counted: by its suffix, and as an archive if it is one."""
    archive = next((one for one in ARCHIVES if name.lower().endswith(one)), None)
    return f"archives {archive}" if archive else printable(PurePosixPath(name).suffix.lower()) or "(no suffix)"


def _is_folder(place: Place) -> bool:
    try:
        return place.is_folder()
    except OSError:
        return False


def _is_caption(name: str) -> bool:
    return name.lower().endswith(".txt") and len(name) > len(".txt")


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name
