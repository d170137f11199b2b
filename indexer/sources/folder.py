"""Files and folders as a source: which files are inputs, and what each is called."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from oneword.engine import images, texts
from oneword.engine.roots import OUTSIDE
from oneword.indexer.captions import Captions
from oneword.indexer.entry import OUTSIDE_ROOTS, Entry, Problem, Reference, id_of
from oneword.indexer.sources.globs import Patterns
from oneword.indexer.sources.place import Place, is_system_folder, printable, reason_of
from oneword.storage import Metadata

ARCHIVES = (
    *(".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tbz2", ".txz", ".tar"),
    *(".zip", ".7z", ".rar", ".cbz", ".cbr", ".gz", ".bz2", ".xz", ".zst", ".iso", ".dmg"),
)
"""Names of files that hold others, in lower case. Below a folder they are not opened."""

UNREADABLE_FOLDER = "UnreadableFolder"
"""Kind of the problem of a folder whose files nobody knows."""


class FolderSource:
    """Files named outright and, recursively, folders. Hidden files and folders inside folders are passed over
    and counted, as is all else that is no input.

    Links are followed and each folder is entered once, so that a link that leads back ends there and a file that two
    of the paths lead to stands once. A file named outright is taken whatever its suffix: as a text if it is called
    one, else as a picture. In the memory are the names of one folder, and a mark for each folder entered.

    Args:
        places: what was given; each exists.
        captions: what a `.txt` beside a picture of the same stem is.
        patterns: which files of folders count. A caption goes with its picture, unless it is excluded itself.
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
        """Folder by folder in the order given, in each its files by name, then its folders; then other files."""
        self.ignored.clear()
        outright: dict[str, dict[str, Place]] = {}  # by the folder, then by the name
        roots = []
        for place in self._places:
            if _is_folder(place):
                roots.append(place)
            else:
                outright.setdefault(place.parent.uri, {})[place.name] = place
        entered: set[object] = set()
        for root in roots:
            yield from self._walk(root, outright, entered)
        for named in outright.values():
            kinds = {name: _kind(place) or "image" for name, place in named.items()}
            yield from self._paired(next(iter(named.values())).parent, kinds)

    def _walk(self, root: Place, outright: dict[str, dict[str, Place]], entered: set[object]) -> Iterator[Entry]:
        waiting = [(root, "")]
        while waiting:
            folder, path = waiting.pop()
            try:
                if (identity := folder.identity) in entered:
                    continue
                files, folders = folder.listing()
            except OSError as error:
                yield _failed(folder, f"the folder cannot be listed ({reason_of(error)})", UNREADABLE_FOLDER)
                continue
            if path and ".nomedia" in files:
                self.ignored["folders with .nomedia"] += 1
                continue
            entered.add(identity)
            yield from self._paired(folder, self._kinds(folder, path, files, outright.pop(folder.uri, {})))
            for name in reversed(folders):
                if is_system_folder(name):
                    self.ignored["hidden folders" if name.startswith(".") else f"folders {printable(name)}"] += 1
                elif not self._patterns.excluded(path + name):
                    waiting.append((folder.child(name), f"{path}{name}/"))

    def _kinds(
        self, folder: Place, path: str, files: Sequence[str], outright: dict[str, Place]
    ) -> dict[str, str | None]:
        """Kinds by name, in order: of what is an input, and as None of captions that only a picture can take."""
        kinds: dict[str, str | None] = {}
        for name in files:
            kind = _kind(folder.child(name))
            if name in outright:
                kinds[name] = kind or "image"
            elif name.startswith("."):
                self.ignored["hidden files"] += 1
            elif self._patterns.excluded(path + name):
                continue
            elif self._patterns.included(path + name):
                if kind is None:
                    self.ignored[_stranger(name)] += 1
                else:
                    kinds[name] = kind
            elif _is_caption(name):
                kinds[name] = None
        return kinds

    def _paired(self, folder: Place, kinds: Mapping[str, str | None]) -> Iterator[Entry]:
        """The entries of one folder, with `.txt` files joined to the images that they are named after.

        `photo.jpg.txt` is the caption of photo.jpg alone, and counts for more than `photo.txt`. Names are compared in
        one normal form, as a caption may come from a machine that writes é in another way.
        """
        captions = {normalize("NFC", _stem(name)): name for name in kinds if _is_caption(name)}
        captions |= {_stem(name): name for name in kinds if _is_caption(name)}
        taken: dict[str, str] = {}
        for name in (name for name, kind in kinds.items() if kind == "image"):
            keys = (name, normalize("NFC", name), _stem(name), normalize("NFC", _stem(name)))
            if caption := next((captions[key] for key in keys if key in captions), None):
                taken[name] = caption
        joined = set(taken.values()) if self._captions is not Captions.SEPARATE else set()
        for name, kind in kinds.items():
            if kind == "image":
                caption = taken.get(name) if self._captions is Captions.ATTACH else None
                yield _entry(folder.child(name), kind, folder.child(caption) if caption else None)
            elif kind and name not in joined:
                yield _entry(folder.child(name), kind)


def facts(place: Place) -> dict[str, Metadata]:
    """What a file's place says: filterable metadata, e.g. `folder = holidays` or `format = png`."""
    names = {"name": place.name, "folder": place.parent.name, "format": place.suffix.lstrip(".")}
    return {key: printable(value) for key, value in names.items() if value}


def _entry(place: Place, kind: str, caption: Place | None = None) -> Entry:
    """An entry, with its problem if it is a broken link, a pipe or the like (which must never be opened)."""
    if place.outside:
        return _failed(place, OUTSIDE, OUTSIDE_ROOTS)
    if fault := place.fault():
        return _failed(place, fault)
    uri = place.uri
    if kind == "text":
        return Entry(id=id_of(uri), uri=uri, origin=uri, text=Reference(uri=uri), metadata=facts(place))
    text = Reference(uri=caption.uri) if caption else None
    return Entry(id=id_of(uri), uri=uri, origin=uri, image=Reference(uri=uri), text=text, metadata=facts(place))


def _failed(place: Place, reason: str, kind: str = "UnreadableFile") -> Entry:
    uri = place.uri
    problem = Problem(kind=kind, reason=f"{place.shown}: {reason}")
    return Entry(id=id_of(uri), uri=uri, origin=uri, problem=problem)


def _kind(place: Place) -> str | None:
    if place.suffix in texts.EXTENSIONS:
        return "text"
    return "image" if place.suffix in images.EXTENSIONS else None


def _stranger(name: str) -> str:
    """What a file that is no input is counted as: its suffix, and that it is an archive."""
    packed = next((one for one in ARCHIVES if name.lower().endswith(one)), None)
    return f"archives {packed}" if packed else printable(PurePosixPath(name).suffix.lower()) or "(no suffix)"


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
