"""The one file that talks to LanceDB: its tables, with its errors put into this package's words."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from storage.cancellation import current
from storage.config import StorageConfig
from storage.damage import examine, go_back
from storage.durability import Durability
from storage.errors import CollectionNotFound, DamagedCollection, StoreUnavailable, VersionNotFound
from storage.location import Location

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

IndexKind: TypeAlias = Literal["BTree", "Bitmap", "LabelList", "FTS"]


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index of a table. stale: rows that it does not cover, which LanceDB reads one by one."""

    name: str
    column: str
    kind: str
    stale: int


log = logging.getLogger(__name__)

YOUNG = timedelta(hours=1)
"""Age up to which a version may be of files that were written since the last commit was synced."""

STABLE_ROW_IDS = "new_table_enable_stable_row_ids"

METADATA_CACHE = 32 * 2**20
"""Bytes of what LanceDB keeps of versions it has read. By default it keeps 1 GiB, which a process that writes fills
with versions that nobody reads any more: by 70 KB a commit, of 2,000 rows in up to 50 files."""

INDEX_CACHE = 512 * 2**20
"""Bytes of what LanceDB keeps of scalar and keyword indexes; by default 6 GiB."""


def _let_reads_be_cancelled() -> None:
    """LanceDB runs each call in an event loop of its own; whoever waits for one that was cancelled waits no longer."""
    from lancedb.background_loop import LOOP

    def run(call: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(call, LOOP.loop)
        if (cancellation := current()) is None:
            return future.result()
        with cancellation.waiting(future.cancel):
            try:
                return future.result()
            except CancelledError:
                cancellation.check()
                raise

    LOOP.run = run


@contextmanager
def in_our_words(location: Location, doing: str, table: str = "") -> Iterator[None]:
    """Turn what LanceDB raises when the place fails into StoreUnavailable or CollectionNotFound.

    A ValueError goes through, unless a file is damaged: it means that LanceDB was called wrongly, which is a bug here.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if table and "Not found" in str(error) and "_versions" in str(error):
            raise CollectionNotFound(table, location.uri) from error  # dropped while it was open
        if table and location.path is not None and (damage := examine(location.path / f"{table}.lance")):
            raise DamagedCollection(table, location.uri, damage.newest, damage.sound) from error
        if isinstance(error, ValueError) and "Lance file" not in str(error):
            raise
        raise StoreUnavailable(location.uri, doing, error) from error


class Database:
    """The tables of one place. Nothing is made there, and LanceDB is not imported, before the first need."""

    def __init__(
        self,
        location: Location,
        storage_options: Mapping[str, str] | None = None,
        config: StorageConfig = StorageConfig(),  # noqa: B008 - it is frozen
    ) -> None:
        """storage_options: LanceDB's, for object stores (credentials, region, endpoint)."""
        self.location, self.config = location, config
        # With stable row ids a row keeps its address when it is written anew, and the serving index would not see it.
        self._options = {key: value for key, value in (storage_options or {}).items() if key != STABLE_ROW_IDS}
        self._connection: Any = None
        self._durabilities: dict[str, Durability] = {}

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
        # A create() killed before its commit leaves a directory without a version: not yet a table.
        root = self.location.path
        return sorted(
            name for name in names if root is None or any((root / f"{name}.lance" / "_versions").glob("*.manifest"))
        )

    def open(self, name: str, version: int | None = None) -> Table | None:
        """The table, or None when there is none. It is read at its newest version, or always at that of `version`.

        Raises:
            VersionNotFound: there is no such version, or not any more.
        """
        if self._absent():
            return None
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
            return Table(lance, name, self.location, self.durability(name))

    def _opened(self, name: str) -> Any:
        """The table, as LanceDB has it.

        Raises:
            DamagedCollection: its newest version cannot be read. A table of our own (jobs, quarantine), which no dot
                keeps a user from naming, goes back to its newest sound version by itself.
        """
        connection = self._connect()
        try:
            return connection.open_table(name)
        except (ValueError, OSError, RuntimeError):
            folder = self.folder(name)
            if folder is None or (damage := examine(folder)) is None:
                raise
            if "." not in name:
                raise DamagedCollection(name, self.location.uri, damage.newest, damage.sound) from None
            log.warning("table %s in %s: its newest version is damaged, and is set aside", name, self.location.uri)
            if damage.sound is None:
                folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))
            else:
                go_back(folder, damage.sound)
            return connection.open_table(name)

    def folder(self, name: str) -> Path | None:
        """Where a table's files are; None in an object store."""
        return None if self.location.path is None else self.location.path / f"{name}.lance"

    def durability(self, name: str) -> Durability | None:
        """What syncs a table's commits; None where nothing has to be synced."""
        folder = self.folder(name)
        if folder is None or not self.config.durable:
            return None
        return self._durabilities.setdefault(name, Durability(folder))

    def create(self, name: str, schema: pa.Schema) -> Table | None:
        """Make an empty table in one atomic commit, or None when the name is taken, also by a race."""
        connection = self._connect()
        with self._connecting(f"create {name!r}"):
            try:
                made = connection.create_table(name, schema=schema)
                return Table(made, name, self.location, self.durability(name)).synced()
            except (ValueError, OSError, RuntimeError) as error:
                if "already exists" in str(error) or "onflict" in str(error):
                    return None
                raise

    def fill(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Table | None:
        """Make a table with rows in one atomic commit, as they stream in, or None when the name is taken.

        Raises:
            What reading `batches` raises; then there is no table.
        """
        import pyarrow as pa

        raised: list[Exception] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as error:  # Arrow would hand it on as text
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
        return Table(made, name, self.location, self.durability(name)).synced()

    def sweep(self, name: str) -> None:
        """Remove the files of a table that was killed while it was made. Only for who holds its lock."""
        path = self.location.path
        if path is not None and not (path / f"{name}.lance" / "_versions").is_dir():
            shutil.rmtree(path / f"{name}.lance", ignore_errors=True)

    def sweep_halves(self, name: str) -> None:
        """Remove the files of a table that a process was killed in the middle of, which no cleanup of LanceDB's does.

        In a directory Lance names a file `.tmp` and more until it is whole. Only for who knows that nobody writes.
        """
        if self.location.path is not None:
            with in_our_words(self.location, f"remove half-written files of {name!r}"):
                for file in (self.location.path / f"{name}.lance" / "data").glob(".tmp*"):
                    file.unlink(missing_ok=True)

    def snapshot(self, name: str) -> Table | None:
        """The table for reading, held at the version that is the newest now, or None when there is none."""
        table = self.open(name)
        if table is not None:
            table.hold()
        return table

    def restore(self, name: str, version: int) -> None:
        """Make a new version that equals an older one; through a handle of its own, for readers share the others."""
        with in_our_words(self.location, f"restore version {version}", name):
            self._connect().open_table(name).restore(version)
            if (durability := self.durability(name)) is not None:
                durability.sync()

    def drop(self, name: str) -> bool:
        """Remove the table and its data; False when there was none."""
        if self.open(name) is None:
            return False
        with self._connecting(f"drop {name!r}"):
            self._connect().drop_table(name)
            self._durabilities.pop(name, None)
        return True

    @property
    def storage_options(self) -> dict[str, str]:
        """LanceDB's options for the place, credentials included."""
        return dict(self._options)

    def _absent(self) -> bool:
        """Whether the place is a directory not made yet: LanceDB would make it, and a reader must not."""
        path = self.location.path
        if path is None:
            return False
        with self._connecting("open the store"):
            if path.exists() and not path.is_dir():
                raise NotADirectoryError("it is a file, expected a directory")
            return not path.exists()

    def _connect(self) -> Any:
        if self._connection is None:
            import lancedb

            _let_reads_be_cancelled()
            with self._connecting("open the store"):
                # Interval 0: every read first looks for commits of other processes.
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
        """As in_our_words, and for ValueError too: LanceDB reports an unreachable object store as one."""
        with in_our_words(self.location, doing):
            try:
                yield
            except ValueError as error:
                raise StoreUnavailable(self.location.uri, doing, error) from error


class Table:
    """One LanceDB table, read at its newest version or at one it was opened at. Columns and rows only: no items.

    `ADDRESS` may be read as a column: where a row lies, a number that no other row of the table ever has, though
    compaction gives a row another one.
    """

    ADDRESS = "_rowid"

    def __init__(self, lance: Any, name: str, location: Location, durability: Durability | None = None) -> None:
        self._lance, self.name, self._location, self._durability = lance, name, location, durability

    def synced(self) -> Table:
        """This table, once all that was committed to it is on the disk, where the store is to be durable."""
        if self._durability is not None:
            with self._doing("sync"):
                self._durability.sync()
        return self

    def schema(self) -> pa.Schema:
        """The Arrow schema now, its metadata included."""
        with self._doing("read the schema"):
            return self._lance.schema

    def version(self) -> int:
        """LanceDB's number of the newest commit."""
        with self._doing("read the version"):
            return int(self._lance.version)

    def versions(self) -> list[dict[str, Any]]:
        """The versions still kept, oldest first: `version` and `timestamp` (local time, no zone)."""
        with self._doing("list the versions"):
            return list(self._lance.list_versions())

    def count(self, where: str | None = None) -> int:
        """Rows, or those that the SQL condition is true for."""
        with self._doing("count"):
            return int(self._lance.count_rows(where))

    def rows(
        self, columns: Sequence[str], *, where: str | None = None, batch_size: int = 1024
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one version in batches of at most `batch_size`, in no promised order."""
        with self._doing("read"):
            query = self._lance.search().select(list(columns))
            if where is not None:
                query = query.where(where)
            yield from query.to_batches(batch_size)

    def parts(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """All rows of a snapshot, so many at a time: bounded, where a scan may read 2 GiB ahead."""
        with self._doing("read"):
            for start in range(0, total := self.count(), rows):
                stretch = list(range(start, min(start + rows, total)))
                yield from self._lance.take_offsets(stretch).select(list(columns)).to_arrow().to_batches()

    def stretch(
        self, columns: Sequence[str], *, where: str | None, offset: int, limit: int
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one version that the SQL condition is true for, from `offset` on, in that version's order."""
        with self._doing("read"):
            query = self._lance.search().select(list(columns)).offset(offset).limit(limit)
            if where is not None:
                query = query.where(where)
            yield from query.to_batches()

    def hold(self) -> None:
        """Stay at the version that is the newest now, whatever is written later."""
        with self._doing("read"):
            self._lance.checkout(self._lance.version)

    def nearest(
        self,
        vector: NDArray[np.float16],
        *,
        limit: int,
        where: str | None,
        columns: Sequence[str],
    ) -> pa.Table:
        """The `limit` rows nearest to `vector` (d,) by cosine, with their `_distance` (1 - cosine)."""
        with self._doing("search"):
            query = self._lance.search(vector, vector_column_name="vector").distance_type("cosine").limit(limit)
            if where is not None:
                query = query.where(where, prefilter=True)
            return query.bypass_vector_index().select([*columns, "_distance"]).to_arrow()

    def at_addresses(self, addresses: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """The rows at those addresses, in no promised order; quick for few."""
        with self._doing("read"):
            return self._lance.take_row_ids(list(addresses)).select(list(columns)).to_arrow()

    def matching(self, words: str, column: str, *, limit: int, where: str | None, columns: Sequence[str]) -> pa.Table:
        """The `limit` rows that match any of the words best, by BM25, with their `_score`.

        Rows that the index does not cover are read one by one. Which of equal rows come is not promised.
        """
        from lancedb.query import MatchQuery

        with self._doing("search the texts"):
            query = self._lance.search(MatchQuery(words, column)).limit(limit)
            if where is not None:
                query = query.where(where, prefilter=True)
            return query.select([*columns, "_score"]).to_arrow()

    def tokens(self, text: str, column: str) -> list[str]:
        """What the column's full-text index takes the text for."""
        with self._doing("read words"):
            return [token.text for token in self._lance.tokenize(text, column=column)]

    def indexes(self) -> list[Index]:
        """The indexes on single columns."""
        with self._doing("list the indexes"):
            return [
                Index(name=one.name, column=one.columns[0], kind=one.index_type, stale=one.num_unindexed_rows or 0)
                for one in self._lance.list_indices()
                if len(one.columns) == 1
            ]

    def create_index(self, column: str, kind: IndexKind, **options: Any) -> None:
        """Index a column, in place of what index it had, in one commit. options: LanceDB's for that kind."""
        from lancedb import index

        with self._committing(f"index {column!r}"):
            self._lance.create_index(column, config=getattr(index, kind)(**options), name=f"{column}_idx")

    def merge(self, rows: pa.Table, key: str) -> tuple[int, int]:
        """Insert or replace by `key` in one commit; how many were inserted, and replaced."""
        with self._committing("write"):
            merge = self._lance.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            done = merge.execute(rows)
            return int(done.num_inserted_rows), int(done.num_updated_rows)

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit; nothing is looked up."""
        with self._committing("write"):
            self._lance.add(rows)

    def delete(self, where: str) -> int:
        """Delete in one commit; how many rows went."""
        with self._committing("delete"):
            return int(self._lance.delete(where).num_deleted_rows)

    def add_columns(self, fields: Sequence[pa.Field]) -> None:
        """New columns, null in every row there is, in one commit."""
        with self._committing("add columns"):
            self._lance.add_columns(list(fields))

    def optimize(self, older_than: timedelta, *, orphans: bool = False) -> None:
        """Compact small files, bring indexes up to date, remove versions older than `older_than`.

        orphans: remove files that no version has ever named, too, whatever their age; otherwise after 7 days.
        """
        with self._committing("optimize"):
            if older_than < YOUNG:  # what takes the place of the files that go is on the disk before
                self._lance.optimize(cleanup_older_than=timedelta(days=36_500))
                self.synced()
            self._lance.optimize(cleanup_older_than=older_than, delete_unverified=orphans)

    def tags(self) -> dict[str, int]:
        """The version of each tag."""
        with self._doing("list the tags"):
            return {name: int(about["version"]) for name, about in self._lance.tags.list().items()}

    def tag(self, name: str, version: int) -> None:
        """Name a version that is there; the name must be free."""
        with self._committing(f"tag version {version}"):
            self._lance.tags.create(name, version)

    def untag(self, name: str) -> None:
        """Take a tag away."""
        with self._committing(f"remove tag {name!r}"):
            self._lance.tags.delete(name)

    def branches(self) -> dict[str, int]:
        """The version of the main line at which each branch starts."""
        with self._doing("list the branches"):
            return {name: int(about["parent_version"]) for name, about in self._lance.branches.list().items()}

    def branch(self, name: str, version: int) -> None:
        """Let a branch start at a version, which no cleanup then removes. It holds while the table stays in place."""
        with self._committing(f"hold version {version}"):
            self._lance.branches.create(name, from_version=version)

    def unbranch(self, name: str) -> None:
        """Remove a branch."""
        with self._committing(f"remove branch {name!r}"):
            self._lance.branches.delete(name)

    @contextmanager
    def _committing(self, doing: str) -> Iterator[None]:
        with self._doing(doing):
            yield
            self.synced()

    def _doing(self, doing: str) -> Any:
        return in_our_words(self._location, doing, self.name)
