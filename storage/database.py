"""The tables of a store. This file and `oneword.storage.table` are the only ones that talk to LanceDB."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oneword.storage.config import StorageConfig
from oneword.storage.durability import Durability, find_damage, roll_back
from oneword.storage.errors import DamagedCollection, StoreUnavailable, VersionNotFound
from oneword.storage.location import Location
from oneword.storage.postponed import postpone
from oneword.storage.table import Table, make_reads_cancellable, schema_of, translated_errors

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

STABLE_ROW_IDS = "new_table_enable_stable_row_ids"

METADATA_CACHE = 32 * 2**20
"""Bytes of LanceDB's cache of versions. Its default of 1 GiB fills up in a process that writes, with versions that
nobody reads again: 70 KB a commit, of 2,000 rows in up to 50 files."""

NAMESPACES = "lance_namespace_urllib3_client"
"""A client of catalog servers, of which LanceDB imports the models alone. Making its calls takes a third of the time of
`import lancedb`."""

INDEX_CACHE = 512 * 2**20
"""Bytes of LanceDB's cache of scalar and keyword indexes; its default is 6 GiB."""


class Database:
    """The tables of one location. Nothing is created there, and LanceDB is not imported, before the first use."""

    def __init__(
        self,
        location: Location,
        storage_options: Mapping[str, str] | None = None,
        config: StorageConfig = StorageConfig(),  # noqa: B008 - it is frozen
    ) -> None:
        """storage_options: LanceDB's, for object stores (credentials, region, endpoint)."""
        self.location, self.config = location, config
        # With stable row ids a rewritten row keeps its address, and the ANN index would not notice.
        self._options = {key: value for key, value in (storage_options or {}).items() if key != STABLE_ROW_IDS}
        self._connection: Any = None
        self._durabilities: dict[str, Durability] = {}

    @property
    def storage_options(self) -> dict[str, str]:
        """LanceDB's options for the location, credentials included."""
        return dict(self._options)

    def tables(self) -> list[str]:
        """Every table's name, sorted."""
        if self._absent():
            return []
        names: list[str] = []
        connection, token = self._connect(), None
        with self._connecting("list the collections"):
            while True:
                page = connection.list_tables(page_token=token)
                names += page.tables
                token = page.page_token
                if not token:
                    break
        # A create() killed before its commit leaves a directory without a version, which is no table.
        root = self.location.path
        return sorted(
            name for name in names if root is None or any((root / f"{name}.lance" / "_versions").glob("*.manifest"))
        )

    def open(self, name: str, version: int | None = None) -> Table | None:
        """The table, or None if there is none. It follows the newest version, or stays at `version`.

        Raises:
            VersionNotFound: there is no such version (any more).
        """
        if self._absent():
            return None
        identity = self.location.identity(name)
        with self._connecting(f"open {name!r}"):
            try:
                lance = self._opened(name)
                if version is not None:
                    lance.checkout(version)
            except ValueError as error:
                if "was not found" in str(error):
                    return None
                if version is not None and "no longer exists" in str(error):
                    newest = self._opened(name)
                    kept = [int(one["version"]) for one in newest.list_versions()]
                    raise VersionNotFound(version, name, kept, list(newest.tags.list())) from error
                raise
            return Table(lance, name, self.location, self._durability(name), identity)

    def _opened(self, name: str) -> Any:
        """LanceDB's table.

        Raises:
            DamagedCollection: its newest version cannot be read. A table of ours (jobs, quarantine; its name has a dot)
                goes back to its newest readable version instead.
        """
        connection = self._connect()
        try:
            opened = connection.open_table(name)
            schema_of(opened)
            return opened
        except (ValueError, OSError, RuntimeError):
            folder = self.location.folder(name)
            if folder is None or (damage := find_damage(folder)) is None:
                raise
            if "." not in name:
                raise DamagedCollection(name, self.location.uri, damage.newest, damage.sound) from None
            log.warning("table %s in %s: its newest version is damaged, and is set aside", name, self.location.uri)
            if damage.sound is None:
                folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))
            else:
                roll_back(folder, damage.sound)
            return connection.open_table(name)

    def _durability(self, name: str) -> Durability | None:
        """What syncs a table's commits; None if nothing needs to."""
        folder = self.location.folder(name)
        if folder is None or not self.config.durable:
            return None
        return self._durabilities.setdefault(name, Durability(folder))

    def create(self, name: str, schema: pa.Schema) -> Table | None:
        """Create an empty table in one atomic commit; None if the name is taken, also by a race."""
        connection = self._connect()
        with self._connecting(f"create {name!r}"):
            try:
                made = connection.create_table(name, schema=schema)
                return Table(made, name, self.location, self._durability(name)).synced()
            except (ValueError, OSError, RuntimeError) as error:
                if "already exists" in str(error) or "onflict" in str(error):
                    return None
                raise

    def fill(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Table | None:
        """Create a table with rows in one atomic commit, as they stream in; None if the name is taken.

        Raises:
            What reading `batches` raises; then there is no table.
        """
        import pyarrow as pa

        raised: list[Exception] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as error:  # Arrow would pass it on as text
                raised.append(error)
                raise

        if self.open(name) is not None:
            return None
        self.sweep(name)
        with self._connecting(f"create {name!r}"):
            try:
                rows = pa.RecordBatchReader.from_batches(schema, watched())
                made = self._connect().create_table(name, rows, schema=schema)
            except (ValueError, OSError, RuntimeError) as error:
                raise (raised[0] if raised else error) from None
        return Table(made, name, self.location, self._durability(name)).synced()

    def sweep(self, name: str) -> None:
        """Remove the files of a table whose creation was killed. Only under its lock."""
        folder = self.location.folder(name)
        if folder is not None and not (folder / "_versions").is_dir():
            shutil.rmtree(folder, ignore_errors=True)

    def remove_partial_files(self, name: str) -> None:
        """Remove partial data files, which a killed process leaves and no cleanup of LanceDB removes.

        In a directory Lance names a file `.tmp...` until it is complete. Only while nobody writes.
        """
        if (folder := self.location.folder(name)) is not None:
            with translated_errors(self.location, f"remove partial files of {name!r}"):
                for file in (folder / "data").glob(".tmp*"):
                    file.unlink(missing_ok=True)

    def snapshot(self, name: str) -> Table | None:
        """The table at its newest version, where it stays, or None if there is none."""
        table = self.open(name)
        if table is not None:
            table.freeze()
        return table

    def restore(self, name: str, version: int) -> None:
        """Make a copy of an older version the newest; by a handle of its own, as readers share the others."""
        with translated_errors(self.location, f"restore version {version}", name):
            self._connect().open_table(name).restore(version)
            if (durability := self._durability(name)) is not None:
                durability.sync()

    def drop(self, name: str) -> bool:
        """Remove the table and its data; False if there was none."""
        if self.open(name) is None:
            return False
        with self._connecting(f"drop {name!r}"):
            self._connect().drop_table(name)
            self._durabilities.pop(name, None)
        return True

    def _absent(self) -> bool:
        """Whether the location is a directory that does not exist: LanceDB would create it, and a reader must not."""
        path = self.location.path
        if path is None:
            return False
        with self._connecting("open the store"):
            if path.exists() and not path.is_dir():
                raise NotADirectoryError("it is a file, expected a directory")
            return not path.exists()

    def _connect(self) -> Any:
        if self._connection is None:
            postpone(NAMESPACES)
            import lancedb

            make_reads_cancellable()
            with self._connecting("open the store"):
                # Interval 0: every read looks for commits of other processes first.
                self._connection = lancedb.connect(
                    self.location.path or self.location.uri,
                    read_consistency_interval=timedelta(0),
                    storage_options=self._options or None,
                    session=lancedb.Session(
                        index_cache_size_bytes=INDEX_CACHE, metadata_cache_size_bytes=METADATA_CACHE
                    ),
                )
        return self._connection

    @contextmanager
    def _connecting(self, doing: str) -> Iterator[None]:
        """`translated_errors`, and ValueError too: LanceDB raises it for an unreachable object store."""
        with translated_errors(self.location, doing):
            try:
                yield
            except ValueError as error:
                raise StoreUnavailable(self.location.uri, doing, error) from error
