"""One version of a collection's table, which stays as it is while others write."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from oneword.storage.database import Database
from oneword.storage.errors import CollectionNotFound, VersionNotFound
from oneword.storage.filters import Filter, parse_filter
from oneword.storage.filters import compile as compile_filter
from oneword.storage.schema import check_same, created_of, space_of
from oneword.storage.table import Table

KEPT = 4  # older versions that stay open: readers turn pages of a few
TRIES = 3  # a newest version may be replaced and cleaned up, or the table made again, before it is opened


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A table at one version.

    created: when the table was made, ISO 8601: versions of one made again start anew.
    table: always read at `version`.
    """

    version: int
    created: str
    schema: pa.Schema
    table: Table

    def where(self, condition: Filter | str | None) -> str | None:
        """The filter as SQL.

        Raises:
            FilterError: it cannot be read, or does not fit the collection's fields.
        """
        if condition is None:
            return None
        return compile_filter(parse_filter(condition), self.schema)


class Snapshots:
    """The versions of one collection as they are asked for. Safe from any number of threads."""

    def __init__(self, database: Database, name: str, space: dict[str, Any]) -> None:
        self._database, self._name, self._space = database, name, space
        self._mutex = threading.Lock()
        folder = database.location.versions_folder(name)
        self._watch = Watch(folder) if folder else None
        self._live: Table | None = None  # follows the newest version
        self._newest: Snapshot | None = None
        self._older: OrderedDict[int, Snapshot] = OrderedDict()
        self._pins: list[Snapshot] = []

    @property
    def current(self) -> bool:
        """Whether nothing was committed since `newest` was last called."""
        with self._mutex:
            return self._current()

    def newest(self) -> Snapshot:
        """The newest version: every commit made before the call is in it, by whomever.

        Raises:
            CollectionNotFound: the collection was dropped.
            SpaceMismatch: it was made again, with another space.
        """
        with self._mutex:
            if self._newest is None or not self._current():
                self._newest = self._opened()
            return self._newest

    def at(self, version: int) -> Snapshot:
        """That version.

        Raises:
            VersionNotFound: there is none, or not any more.
        """
        with self._mutex:
            for one in self._pins:  # not asking what is newest, which costs more the more is written
                if one.version == version:
                    return one
        newest = self.newest()
        if version == newest.version:
            return newest
        with self._mutex:
            kept = self._older.pop(version, None)
            if kept is None or kept.created != newest.created:
                kept = self._read(version)
            self._older[version] = kept
            while len(self._older) > KEPT:
                self._older.popitem(last=False)
            return kept

    @contextmanager
    def pinned(self) -> Iterator[Snapshot]:
        """The newest version, open for a `with` block. Only under the writer's lock: see `oldest_pinned`."""
        snapshot = self.newest()
        with self._mutex:
            self._pins.append(snapshot)
        try:
            yield snapshot
        finally:
            with self._mutex:
                self._pins.remove(snapshot)

    @property
    def oldest_pinned(self) -> int | None:
        """The version that a cleanup has to leave, and all that came after it."""
        with self._mutex:
            return min((one.version for one in self._pins), default=None)

    def _current(self) -> bool:
        if self._newest is None:
            return False
        if self._watch is None:
            now = self._following()
            return (now.version(), _made(now.schema())) == (self._newest.version, self._newest.created)
        try:
            return self._watch.unchanged()
        except FileNotFoundError:
            return False

    def _opened(self) -> Snapshot:
        for tries_left in reversed(range(TRIES)):
            try:
                if self._watch is not None:
                    self._watch.look()
                version = self._following().version()
                if self._watch is not None:
                    self._watch.found(version)
                return self._read(version)
            except FileNotFoundError as error:
                raise CollectionNotFound(self._name, self._database.location.uri) from error
            except VersionNotFound:
                self._live = None
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _following(self) -> Table:
        if self._live is None:
            self._live = self._table()
        return self._live

    def _read(self, version: int) -> Snapshot:
        table = self._table(version)
        schema = table.schema()
        check_same(self._name, space_of(schema), self._space)
        return Snapshot(version=version, created=_made(schema), schema=schema, table=table)

    def _table(self, version: int | None = None) -> Table:
        table = self._database.open(self._name, version)
        if table is None:
            raise CollectionNotFound(self._name, self._database.location.uri)
        return table


def _made(schema: pa.Schema) -> str:
    return created_of(schema).isoformat()


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
