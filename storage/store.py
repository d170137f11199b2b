"""A store: the collections of one place."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.collection import Collection
from storage.database import Database
from storage.errors import BadName, CollectionExists, CollectionNotFound, Locked
from storage.location import Location
from storage.lock import WriterLock
from storage.quarantine import SUFFIX, Quarantine
from storage.schema import table_schema
from storage.space import check_same, checked_space

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
CREATION = 10.0  # seconds that a process waits for another one to make the same collection


class Store:
    """Collections in a directory or an object store. Making the object reads and makes nothing.

    Every method that takes a name raises BadName for one that is not allowed, and every method
    StoreUnavailable if the place cannot be reached.
    """

    def __init__(
        self,
        uri: str | Path,
        *,
        storage_options: Mapping[str, str] | None = None,
        lock_timeout: float = 0.0,
        loaded: bool = False,
    ) -> None:
        """uri: a directory, or an object store's address as LanceDB takes it (`s3://bucket/prefix`).

        storage_options: LanceDB's: credentials, region, endpoint.
        lock_timeout: seconds that a writer waits for another one before Locked; 0 does not wait.
        loaded: read serving indexes into memory whole. Otherwise they hold 1-bit codes in memory (d / 8 bytes and a
            few a vector of d numbers) and read vectors from disk, of which the system keeps what memory allows.
        """
        self._database = Database(Location.of(uri), storage_options, loaded=loaded)
        self._lock_timeout = lock_timeout

    @property
    def uri(self) -> str:
        """The place; a local one as an absolute path."""
        return self._database.location.uri

    def collections(self) -> list[str]:
        """The names of all collections, sorted; none if the place is not there yet."""
        return [name for name in self._database.tables() if NAME.fullmatch(name)]

    def create(self, name: str, space: Mapping[str, Any]) -> Collection:
        """Make an empty collection for vectors of `space`.

        space: a JSON object with at least fingerprint (str), dimension (int), model (str) and view (str).

        Raises:
            CollectionExists: the name is taken.
            BadSpace: the space lacks something.
        """
        wanted = checked_space(space)
        lock = WriterLock(self._database.location.lock_file(_checked_name(name)), name)
        try:
            # The database alone lets two processes that create at the same instant both believe they did.
            with lock.hold(max(self._lock_timeout, CREATION)):
                taken = self._database.open(name) is not None
                schema = table_schema(wanted, datetime.now(UTC))
                table = None if taken else self._database.create(name, schema)
        except Locked:
            if self._database.open(name) is None:
                raise
            table = None  # made by another process, which writes it already
        if table is None:
            raise CollectionExists(name, self.uri)
        return Collection(self._database, table, lock_timeout=self._lock_timeout)

    def open(self, name: str, *, fingerprint: str | None = None) -> Collection:
        """Open a collection, to read or to write; makes nothing.

        fingerprint: of the space that it must have.

        Raises:
            CollectionNotFound: there is none of that name.
            SpaceMismatch: its space is another one.
        """
        table = self._database.open(_checked_name(name))
        if table is None:
            raise CollectionNotFound(name, self.uri, self.collections())
        collection = Collection(self._database, table, lock_timeout=self._lock_timeout)
        if fingerprint is not None:
            check_same(name, collection.space, {"fingerprint": fingerprint})
        return collection

    def open_or_create(self, name: str, space: Mapping[str, Any]) -> Collection:
        """Open the collection, or make it; of processes that do so at once, one makes it and all get it.

        Raises:
            SpaceMismatch: it is there, with another space.
            BadSpace: the space lacks something.
        """
        wanted = checked_space(space)
        try:
            collection = self.open(name)
        except CollectionNotFound:
            try:
                return self.create(name, wanted)
            except CollectionExists:  # made by another process in between
                collection = self.open(name)
        check_same(name, collection.space, wanted)
        return collection

    def drop(self, name: str) -> None:
        """Remove a collection and its quarantine, for good.

        Raises:
            CollectionNotFound: there is none of that name.
            Locked: someone is writing it.
        """
        if self._database.open(_checked_name(name)) is None:
            raise CollectionNotFound(name, self.uri, self.collections())
        with WriterLock(self._database.location.lock_file(name), name).hold(self._lock_timeout):
            self._database.drop(name + SUFFIX)  # first: a collection may be without, but not the other way round
            self._database.drop(name)
            shutil.rmtree(self._database.location.serving_folder(name), ignore_errors=True)

    def quarantine(self, name: str) -> Quarantine:
        """The inputs that could not be indexed into the collection."""
        return Quarantine(self._database, _checked_name(name))


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadName(name)
    return name
