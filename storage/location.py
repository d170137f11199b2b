"""Where a store is: a directory, or an address in an object store."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse


@dataclass(frozen=True, kw_only=True)
class Location:
    """uri: a local one as an absolute path. path: the directory, or None in an object store."""

    uri: str
    path: Path | None

    @classmethod
    def of(cls, uri: str | Path) -> Location:
        """Parse a path, a `file://` URI or an object store's (`s3://bucket/prefix`, `gs://`, `az://`, ...)."""
        if isinstance(uri, str):
            parts = urlparse(uri)
            if parts.scheme == "file":
                uri = Path(unquote(parts.path))
            elif len(parts.scheme) > 1:  # one letter is a Windows drive
                return cls(uri=uri.rstrip("/"), path=None)
        path = Path(uri).expanduser().absolute()
        return cls(uri=str(path), path=path)

    def lock_file(self, table: str) -> Path:
        """The file that a writer of `table` locks.

        It is beside the table, where LanceDB owns every file. An object store has no file locks: there the file is in
        the temporary directory of this machine, and excludes writers of this machine only.
        """
        if self.path is not None:
            return self.path / f"{table}.lock"
        return Path(tempfile.gettempdir()) / f"oneword-{self._digest(table)}.lock"

    def folder(self, table: str) -> Path | None:
        """The folder of the files of `table`; None in an object store."""
        return None if self.path is None else self.path / f"{table}.lance"

    def identity(self, table: str) -> int | None:
        """A number that tells the folder of `table` from another one of that name; None if there is none."""
        try:
            return None if self.path is None else (self.path / f"{table}.lance").stat().st_ino
        except OSError:
            return None

    def ann_folder(self, table: str) -> Path:
        """The folder of the ANN indexes of `table`: beside it, or for an object store in this user's cache."""
        if self.path is not None:
            return self.path / f"{table}.serving"  # as earlier releases called them
        return Path.home() / ".cache" / "oneword" / "serving" / self._digest(table)

    def files_of(self, table: str) -> int | None:
        """Number of files of `table`, older versions included; None in an object store."""
        return None if self.path is None else sum(1 for _ in self._sizes(table))

    def bytes_of(self, table: str) -> int | None:
        """Total size of the files of `table`, older versions included; None in an object store."""
        return None if self.path is None else sum(self._sizes(table))

    def _sizes(self, table: str) -> Iterator[int]:
        assert self.path is not None
        for file in (self.path / f"{table}.lance").rglob("*"):
            with suppress(FileNotFoundError):  # a writer may be compacting
                if file.is_file():
                    yield file.stat().st_size

    def _digest(self, table: str) -> str:
        return hashlib.sha256(f"{self.uri}/{table}".encode()).hexdigest()[:32]
