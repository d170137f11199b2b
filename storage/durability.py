"""Makes what was committed survive a power cut: a commit's own files are on the disk before it is acknowledged.

LanceDB syncs nothing. A commit writes new files (data, deletions, indexes, a transaction, a manifest) and changes none
but its hint of the newest version, so its own are those whose names were not there before. Before the first commit of a
process, all files are synced that are newer than the last that was: a process that was killed may have left a commit
that nobody acknowledged, on which the next one builds. The time of an empty file in the table, which may be lost,
says since when.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FLAT = ("_versions", "data", "_deletions", "_transactions")
"""Folders of a table that hold files. `_indices` has a folder for each index, `_refs` and `tree` tags and branches."""

MARGIN = 2.0
"""Seconds by which a file system's clock may be behind this machine's."""


class Durability:
    """Syncs the commits of one local table. Safe from several threads."""

    def __init__(self, table: Path) -> None:
        """table: its folder, NAME.lance."""
        self._table = table
        self._mark = table / "_synced"
        self._known: dict[Path, set[str]] | None = None
        self._mutex = threading.Lock()

    def sync(self) -> None:
        """Returns when all that was committed so far is on the disk. Raises OSError."""
        with self._mutex:
            began = _modified(self._table / "_versions")  # as the file system's clock has it
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
            with suppress(OSError):  # then the next process syncs more than it must
                self._mark.touch()
                os.utime(self._mark, (began, began))

    def _listed(self) -> Iterator[tuple[Path, list[str]]]:
        """The folders of the table, each with its files."""
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
    """Returns when a file's content is on the disk. One that is gone, as a half-written one may be, is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Returns when a folder's names are on the disk; where folders can be opened, which Windows lacks."""
    if os.name != "nt":
        sync_file(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a new file, which takes the name when the block ends, whole and on the disk, or not at all."""
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
