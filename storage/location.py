"""Where a store lives: a directory here, or an address in an object store."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse


@dataclass(frozen=True, kw_only=True)
class Location:
    """uri: as given, a local one made absolute. path: the directory, or None in an object store."""

    uri: str
    path: Path | None

    @classmethod
    def of(cls, uri: str | Path) -> Location:
        """Read a path, a `file://` URI or an object store's (`s3://bucket/prefix`, `gs://`, `az://`, ...)."""
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

        It lies beside the table, not inside it, where LanceDB owns every file. An object store has no
        file locks: there the lock is in this machine's temporary directory, and keeps out writers of
        this machine only.
        """
        if self.path is not None:
            return self.path / f"{table}.lock"
        address = hashlib.sha256(f"{self.uri}/{table}".encode()).hexdigest()[:32]
        return Path(tempfile.gettempdir()) / f"oneword-{address}.lock"

    def table_uri(self, table: str) -> str:
        """Where LanceDB has `table`."""
        return f"{self.uri}/{table}.lance"

    def versions_folder(self, table: str) -> Path | None:
        """Where LanceDB writes one file a version of `table`; None in an object store."""
        return None if self.path is None else self.path / f"{table}.lance" / "_versions"

    def ann_folder(self, table: str) -> Path:
        """Where ANN indexes of `table` lie: beside it, or, for an object store, in this user's cache."""
        if self.path is not None:
            return self.path / f"{table}.serving"
        address = hashlib.sha256(f"{self.uri}/{table}".encode()).hexdigest()[:32]
        return Path.home() / ".cache" / "oneword" / "serving" / address

    def files_of(self, table: str) -> int | None:
        """How many files `table` consists of, older versions included; None in an object store."""
        if self.path is None:
            return None
        return sum(file.is_file() for file in (self.path / f"{table}.lance").rglob("*"))

    def bytes_of(self, table: str) -> int | None:
        """The size of all the files of `table`, older versions included; None in an object store."""
        if self.path is None:
            return None
        total = 0
        for file in (self.path / f"{table}.lance").rglob("*"):
            with suppress(FileNotFoundError):  # a writer may be compacting
                total += file.stat().st_size if file.is_file() else 0
        return total
