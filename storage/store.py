"""A store: the collections in one location."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oneword.storage import text_index
from oneword.storage.collection import Collection
from oneword.storage.config import StorageConfig
from oneword.storage.database import Database
from oneword.storage.durability import roll_back, version_states
from oneword.storage.errors import (
    BadName,
    CollectionExists,
    CollectionNotFound,
    DamagedCollection,
    Locked,
    StorageError,
    VersionNotFound,
)
from oneword.storage.journal import Journal
from oneword.storage.location import Location
from oneword.storage.lock import WriterLock
from oneword.storage.moves import Move, Moves, Plan, copy
from oneword.storage.quarantine import SUFFIX, Quarantine
from oneword.storage.schema import check_same, checked_space, created_of, table_schema

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
CREATION = 10.0  # seconds to wait for another process that creates the same collection


class Store:
    """Collections in a directory or an object store. The constructor neither reads nor creates anything.

    Every method that takes a name raises BadName for one that is not allowed, and every method StoreUnavailable if the
    location cannot be reached.
    """

    def __init__(
        self,
        uri: str | Path,
        *,
        storage_options: Mapping[str, str] | None = None,
        lock_timeout: float = 0.0,
        config: StorageConfig = StorageConfig(),  # noqa: B008 - it is frozen
    ) -> None:
        """uri: a directory, or an object store's address as LanceDB takes it (`s3://bucket/prefix`).

        storage_options: LanceDB's: credentials, region, endpoint.
        lock_timeout: seconds that a writer waits for another one before Locked; 0 does not wait.
        config: durability, and how ANN indexes are held.
        """
        self._database = Database(Location.of(uri), storage_options, config)
        self._lock_timeout = lock_timeout
        self._moves = Moves(self._database)

    @property
    def uri(self) -> str:
        """The location; a local one as an absolute path."""
        return self._database.location.uri

    def collections(self) -> list[str]:
        """The names of all collections, sorted; none if the location does not exist yet."""
        self._moves.finish()
        return [name for name in self._database.tables() if NAME.fullmatch(name)]

    def create(self, name: str, space: Mapping[str, Any]) -> Collection:
        """Create an empty collection for vectors of `space`.

        space: a JSON object with at least fingerprint (str), dimension (int), model (str) and view (str).

        Raises:
            CollectionExists: the name is taken.
            BadSpace: the space lacks a key.
        """
        space = checked_space(space)
        self._moves.finish(_checked_name(name))
        try:
            # By LanceDB alone, two processes that create at the same instant may both believe they did.
            with self._lock(name).hold(max(self._lock_timeout, CREATION)):
                table = None
                if self._database.open(name) is None:
                    self._database.drop(name + SUFFIX)  # left by a copy that was killed
                    table = self._database.create(name, table_schema(space, datetime.now(UTC)))
                if table is not None:
                    text_index.create(table)
        except Locked:
            if self._database.open(name) is None:
                raise
            table = None  # another process has created it, and is writing it already
        if table is None:
            raise CollectionExists(name, self.uri)
        return Collection(self._database, table, lock_timeout=self._lock_timeout)

    def open(self, name: str, *, fingerprint: str | None = None) -> Collection:
        """Open a collection for reading and writing; creates nothing.

        fingerprint: of the space that it must have.

        Raises:
            CollectionNotFound: there is none of that name.
            SpaceMismatch: it has another space.
        """
        self._moves.finish(_checked_name(name))
        table = self._database.open(name)
        if table is None:  # perhaps a move began after the first look
            self._moves.finish(name)
            table = self._database.open(name)
        if table is None:
            raise CollectionNotFound(name, self.uri, self.collections())
        collection = Collection(self._database, table, lock_timeout=self._lock_timeout)
        if fingerprint is not None:
            check_same(name, collection.space, {"fingerprint": fingerprint})
        return collection

    def open_or_create(self, name: str, space: Mapping[str, Any]) -> Collection:
        """Open the collection, or create it; if several processes do at once, one creates it and all get it.

        Raises:
            SpaceMismatch: it exists with another space.
            BadSpace: the space lacks a key.
        """
        space = checked_space(space)
        try:
            collection = self.open(name)
        except CollectionNotFound:
            try:
                return self.create(name, space)
            except CollectionExists:  # created by another process in between
                collection = self.open(name)
        check_same(name, collection.space, space)
        return collection

    def drop(self, name: str) -> None:
        """Remove a collection and its quarantine for good. In a directory, an interrupted drop is finished later.

        Raises:
            CollectionNotFound: there is none of that name.
            Locked: another writer has it.
        """
        try:
            collection = self.open(name)
        except DamagedCollection:
            folder = self._database.location.folder(name)
            assert folder is not None  # damage is only detected in a directory
            with self._lock(name).hold(self._lock_timeout):
                self._drop_parts(name)
                shutil.rmtree(folder)
            return
        with collection.writing():
            self._check_there(collection)
            if self._database.location.path is not None:
                self._moves.run(Plan(drop=_move(collection, name)))
                return
            self._drop_parts(name)  # first: a collection may lack its quarantine, but not the other way round
            self._database.drop(name)

    def recover(self, name: str, version: int | None = None) -> int:
        """Go back to a readable version of a damaged collection, by default the newest. Returns the version.

        Damaged files are set aside in the collection's folder; nothing is deleted.

        Raises:
            VersionNotFound: there is no such version, or it is damaged.
            Locked: another writer has the collection.
        """
        folder = self._database.location.folder(_checked_name(name))
        with self._lock(name).hold(self._lock_timeout):
            whole = [one for one, intact in self.states(name).items() if intact]
            if not whole or (version is not None and version not in whole):
                raise VersionNotFound(version or 0, name, whole, [])
            assert folder is not None  # otherwise there are no states
            roll_back(folder, version or whole[-1])
            if (table := self._database.open(name)) is not None:
                text_index.create(table)
        return version or whole[-1]

    def states(self, name: str) -> dict[int, bool]:
        """The versions of a collection in a directory, oldest first, each with whether its files are readable."""
        folder = self._database.location.folder(_checked_name(name))
        return version_states(folder) if folder else {}

    def rename(self, old: str, new: str) -> Collection:
        """Rename a collection with its quarantine, its ANN index and its tags.

        If the process is killed, the collection has one of the two names, and the next process that opens it finishes.

        Raises:
            CollectionNotFound: there is none of the old name.
            CollectionExists: the new name is taken.
            Locked: another writer has it.
            StorageError: the store is in an object store.
        """
        finished = self._moves.finish(_checked_name(old))
        if (old, _checked_name(new)) in [(move.source, move.target) for move in finished]:
            return self.open(new)  # this very rename was killed, and has just been finished
        source = self.open(old)
        self._check_directory("rename a collection", "copy it to the new name, then drop the old one")
        if old == new:
            raise CollectionExists(new, self.uri)
        with source.writing(), self._lock(new).hold(self._lock_timeout):
            self._check_free(new)
            self._check_there(source)
            self._moves.run(Plan(moves=(_move(source, new),)))
        return self.open(new)

    def copy(self, old: str, new: str) -> Collection:
        """Copy a collection with its quarantine; the copy appears when it is complete.

        Versions, tags, metadata indexes and the ANN index are not copied, and `created` is its own.

        Raises:
            CollectionNotFound: there is none of the old name.
            CollectionExists: the new name is taken.
            Locked: another process is creating the new one.
        """
        self.open(old)
        if old == _checked_name(new):
            raise CollectionExists(new, self.uri)
        self._moves.finish(new)
        with self._lock(new).hold(self._lock_timeout):
            if (table := copy(self._database, old, new)) is None:
                raise CollectionExists(new, self.uri)
            text_index.create(table)
        return self.open(new)

    def replace(self, old: Collection, new: Collection, *, keep: str, drop: bool = False) -> Collection:
        """Give `new` the name of `old`, which is renamed to `keep`, or dropped.

        If the process is killed, the name refers to one of the two as soon as it is opened.

        Raises:
            CollectionExists: the name `keep` is taken.
            Locked: another writer has one of them.
            StorageError: the store is in an object store.
        """
        self.check_replaceable(keep)
        with old.writing(), new.writing(), self._lock(_checked_name(keep)).hold(self._lock_timeout):
            self._check_free(keep)
            self._check_there(old)
            self._check_there(new)
            moves = (_move(old, keep), _move(new, old.name))
            self._moves.run(Plan(moves=moves, drop=moves[0] if drop else None))
        return self.open(old.name)

    def check_replaceable(self, keep: str) -> None:
        """Raise what `replace` would raise for the name `keep`, before any work is done for it."""
        self._check_directory("let a collection take another's name", "use the new one by its own name")
        self._check_free(_checked_name(keep))

    def quarantine(self, name: str) -> Quarantine:
        """The inputs that could not be indexed into the collection."""
        self._moves.finish(_checked_name(name))
        return Quarantine(self._database, name)

    def journal(self) -> Journal:
        """The jobs of this store, of all its collections."""
        return Journal(self._database)

    def _drop_parts(self, name: str) -> None:
        self._database.drop(name + SUFFIX)
        shutil.rmtree(self._database.location.ann_folder(name), ignore_errors=True)

    def _check_free(self, name: str) -> None:
        if self._database.open(name) is not None:
            raise CollectionExists(name, self.uri)

    def _check_there(self, collection: Collection) -> None:
        """It may have been dropped, and created again, before its lock was taken."""
        table = self._database.open(collection.name)
        if table is None or created_of(table.schema()) != collection.created:
            raise CollectionNotFound(collection.name, self.uri, self.collections())

    def _check_directory(self, doing: str, remedy: str) -> None:
        if self._database.location.path is None:
            raise StorageError(f"cannot {doing} in {self.uri}: an object store has no atomic rename; {remedy}")

    def _lock(self, name: str) -> WriterLock:
        return WriterLock(self._database.location.lock_file(name), name)


def _move(collection: Collection, name: str) -> Move:
    return Move(source=collection.name, target=name, created=collection.created.isoformat())


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadName(name)
    return name
