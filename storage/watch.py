"""Whether a table has had a commit since it was last looked at: in a directory, told in microseconds."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Seen: TypeAlias = tuple[int, int]


class Watch:
    """Watches the folder in which LanceDB writes one manifest a version.

    A commit renames a manifest into the folder, which changes the folder's time; of two commits within one tick of
    the file system's clock the second shows by the name of its manifest, which is known beforehand.
    """

    def __init__(self, versions: Path) -> None:
        self._versions = versions
        self._seen: Seen | None = None
        self._next: Path | None = None

    def look(self) -> None:
        """To be called before the newest version is read.

        Raises:
            FileNotFoundError: the table is gone.
        """
        self._next = None
        self._seen = self._state()

    def found(self, version: int) -> None:
        """To be called with the version that was read after `look`."""
        if self._manifest(version).exists():
            self._next = self._manifest(version + 1)

    def unchanged(self) -> bool:
        """Whether that version is certainly still the newest.

        Raises:
            FileNotFoundError: the table is gone.
        """
        return self._next is not None and self._state() == self._seen and not self._next.exists()

    def _state(self) -> Seen:
        stat = self._versions.stat()
        return stat.st_ino, stat.st_mtime_ns

    def _manifest(self, version: int) -> Path:
        """lance-format/lance: rust/lance-table/src/io/commit.rs, ManifestNamingScheme::V2: newest first by name."""
        return self._versions / f"{2**64 - 1 - version:020d}.manifest"
