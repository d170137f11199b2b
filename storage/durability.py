"""Durable commits, and the damage that a power cut or a bad disk leaves in a table.

LanceDB syncs nothing. A commit writes new files (data, deletions, indexes, a transaction, a manifest) and changes none
but its hint of the newest version, so its files are those whose names are new. Before the first commit of a process,
all files newer than the last sync are synced: a killed process may have left a commit that was not acknowledged, on
which the next one builds. The time of an empty marker file in the table, which may be lost, is that of the last sync.

Damage shows at the end of a file: manifests and data files end with the bytes `LANC` (lance-format/lance:
rust/lance-core/src/... MAGIC), and a manifest names its data files.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FLAT = ("_versions", "data", "_deletions", "_transactions")
"""Folders of a table with files. `_indices` has a folder for each index, `_refs` and `tree` hold tags and branches."""

MARGIN = 2.0
"""Seconds by which a file system's clock may be behind this machine's."""


MAGIC = b"LANC"
ASIDE = "_damaged"
"""Folder in a table for damaged manifests: nothing of a user's is deleted."""

_DATA_FILE = re.compile(rb"([01]{24}[0-9a-f]{26}\.lance)")


class Durability:
    """Syncs the commits of one local table. Thread-safe."""

    def __init__(self, table: Path) -> None:
        """table: its folder, NAME.lance."""
        self._table = table
        self._mark = table / "_synced"
        self._known: dict[Path, set[str]] | None = None
        self._mutex = threading.Lock()

    def sync(self) -> None:
        """Return when every commit so far is on the disk. Raises OSError."""
        with self._mutex:
            began = _modified(self._table / "_versions")  # by the file system's clock
            found = {folder: set(names) for folder, names in self._listed()}
            known = self._known
            since = self._since() if known is None else None
            for folder, names in found.items():
                new = names if known is None else names - known.get(folder, set())
                if since is not None:
                    new = {name for name in new if _modified(folder / name) >= since}
                if folder.name == "_versions" and new:
                    new.add("latest_version_hint.json")
                if new or folder not in (known or {}):
                    for name in new:
                        sync_file(folder / name)
                    sync_folder(folder)
            if known is None:
                for folder in (self._table, self._table.parent, self._table.parent.parent):
                    sync_folder(folder)
            self._known = found
            with suppress(OSError):  # then the next process syncs more than necessary
                self._mark.touch()
                os.utime(self._mark, (began, began))

    def _listed(self) -> Iterator[tuple[Path, list[str]]]:
        """The folders of the table with their files."""
        yield from ((self._table / name, _files(self._table / name)) for name in FLAT)
        for name in ("_indices", "_refs", "tree"):
            for folder, _, files in os.walk(self._table / name):
                yield Path(folder), files

    def _since(self) -> float | None:
        try:
            return self._mark.stat().st_mtime - MARGIN
        except OSError:
            return None


def sync_file(path: Path) -> None:
    """Return when a file's content is on the disk; at once if the file is gone, as a partial one may be."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return when a folder's entries are on the disk; not on Windows, which cannot open folders."""
    if os.name != "nt":
        sync_file(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file, which replaces `path` when the block ends, complete and on the disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        sync_file(partial)
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [one.name for one in found if not one.name.startswith(".tmp")]
    except FileNotFoundError:
        return []


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Damage:
    """newest: the newest version. broken: damaged versions newer than `sound`. sound: the newest intact one, if any."""

    newest: int
    broken: tuple[int, ...]
    sound: int | None


def find_damage(table: Path) -> Damage | None:
    """The damage of the newest version of a table in a folder, or None if none is found."""
    broken: list[int] = []
    for manifest in sorted((table / "_versions").glob("*.manifest")):  # the newest sorts first
        version = version_of(manifest)
        if _is_whole(manifest, table):
            return Damage(newest=broken[0], broken=tuple(broken), sound=version) if broken else None
        broken.append(version)
    return Damage(newest=broken[0], broken=tuple(broken), sound=None) if broken else None


def version_states(table: Path) -> dict[int, bool]:
    """The versions of a table by number, oldest first, each with whether it is intact."""
    found = sorted((table / "_versions").glob("*.manifest"), reverse=True)
    return {version_of(one): _is_whole(one, table) for one in found}


def roll_back(table: Path, version: int) -> None:
    """Make `version` the newest one, by setting aside later manifests."""
    aside = table / ASIDE
    aside.mkdir(exist_ok=True)
    for manifest in (table / "_versions").glob("*.manifest"):
        if version_of(manifest) > version:
            manifest.replace(aside / manifest.name)
    (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)


def live_bytes(table: Path) -> int:
    """Bytes of the data files of the newest version, which a compaction may rewrite."""
    newest = min((table / "_versions").glob("*.manifest"), default=None)
    if newest is None:
        return 0
    files = {table / "data" / name.decode() for name in _DATA_FILE.findall(newest.read_bytes())}
    return sum(file.stat().st_size for file in files if file.exists())


def version_of(manifest: Path) -> int:
    """The version of a manifest (ManifestNamingScheme::V2)."""
    return 2**64 - 1 - int(manifest.stem)


def _is_whole(manifest: Path, table: Path) -> bool:
    data = manifest.read_bytes()
    if len(data) < 16 or not data.endswith(MAGIC):
        return False
    return all(_ends_well(table / "data" / name.decode()) for name in set(_DATA_FILE.findall(data)))


def _ends_well(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            opened.seek(-len(MAGIC), 2)
            return opened.read() == MAGIC
    except OSError:  # gone, or too short to seek in
        return False
