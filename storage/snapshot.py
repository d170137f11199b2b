"""One version of a collection's table, unaffected by later writes."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from oneword.storage.database import Database
from oneword.storage.errors import CollectionNotFound, VersionNotFound
from oneword.storage.filters import Filter, parse_filter
from oneword.storage.filters import compile as compile_filter
from oneword.storage.schema import check_same, created_of, item_columns, space_of
from oneword.storage.table import Table

KEPT = 4  # older versions that stay open, for readers that page through them
COMPILED = 100  # filters of a version whose SQL is cached
TRIES = 3  # the newest version may be replaced and removed, or the table created again, before it is opened


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A table at one version.

    created: when the table was created, ISO 8601; if it is created again, versions start at 1.
    table: always at `version`.
    """

    version: int
    created: str
    schema: pa.Schema
    table: Table
    _compiled: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> list[str]:
        """The columns of its items as searches return them."""
        return item_columns(self.schema)

    def where(self, condition: Filter | str | None) -> str | None:
        """The filter as SQL.

        Raises:
            FilterError: it cannot be parsed, or does not fit the collection's fields.
        """
        if not isinstance(condition, str):
            return None if condition is None else compile_filter(parse_filter(condition), self.schema)
        sql = self._compiled.get(condition)
        if sql is None:
            sql = compile_filter(parse_filter(condition), self.schema)
            if len(self._compiled) >= COMPILED:
                self._compiled.clear()
            self._compiled[condition] = sql
        return sql


class Snapshots:
    """Opens versions of one collection. Safe for any number of threads."""

    def __init__(self, database: Database, name: str, space: dict[str, Any]) -> None:
        self._database, self._name, self._space = database, name, space
        self._mutex = threading.Lock()
        folder = database.location.folder(name)
        self._watch = Watch(folder / "_versions") if folder else None
        self._live: Table | None = None  # follows the newest version
        self._newest: Snapshot | None = None
        self._older: OrderedDict[int, Snapshot] = OrderedDict()
        self._pins: list[Snapshot] = []

    @property
    def current(self) -> bool:
        """Whether there was no commit since `newest` was last called."""
        with self._mutex:
            return self._current()

    def newest(self) -> Snapshot:
        """The newest version, with every commit made before the call by any process.

        Raises:
            CollectionNotFound: the collection was dropped.
            SpaceMismatch: it was created again with another space.
        """
        with self._mutex:
            if not self._current():
                self._newest = None  # also if another space is found, however often it is asked for
                self._newest = self._opened()
            assert self._newest is not None
            return self._newest

    def at(self, version: int) -> Snapshot:
        """That version.

        Raises:
            VersionNotFound: it does not exist (any more).
        """
        with self._mutex:
            for one in self._pins:  # without asking for the newest, which costs more the more is written
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
        """The newest version, kept for a `with` block (see `oldest_pinned`). Only under the writer's lock."""
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
        """The oldest version that a cleanup must keep, with all after it."""
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
    """Watches the folder in which LanceDB writes one manifest per version, in microseconds.

    A commit renames a manifest into the folder, which changes the folder's time; if two commits fall into one tick of
    the file system's clock, the second is noticed by the name of its manifest, which is known beforehand.
    """

    def __init__(self, versions: Path) -> None:
        self._versions = str(versions)  # os takes half as long as pathlib, and each search asks
        self._seen: Seen | None = None
        self._next: str | None = None

    def look(self) -> None:
        """Call this before the newest version is read.

        Raises:
            FileNotFoundError: the table was dropped.
        """
        self._next = None
        self._seen = self._state()

    def found(self, version: int) -> None:
        """Call this with the version that was read after `look`."""
        if os.path.exists(self._manifest(version)):  # noqa: PTH110
            self._next = self._manifest(version + 1)

    def unchanged(self) -> bool:
        """Whether that version is still the newest, for certain.

        Raises:
            FileNotFoundError: the table was dropped.
        """
        return self._next is not None and self._state() == self._seen and not os.path.exists(self._next)  # noqa: PTH110

    def _state(self) -> Seen:
        stat = os.stat(self._versions)  # noqa: PTH116
        return stat.st_ino, stat.st_mtime_ns

    def _manifest(self, version: int) -> str:
        """lance-format/lance: rust/lance-table/src/io/commit.rs, ManifestNamingScheme::V2: newest first by name."""
        return f"{self._versions}/{2**64 - 1 - version:020d}.manifest"
