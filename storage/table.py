"""One LanceDB table, whose errors are translated to this package's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from oneword.storage.cancellation import Cancellation, current
from oneword.storage.durability import Durability, find_damage
from oneword.storage.errors import CollectionNotFound, DamagedCollection, StoreUnavailable
from oneword.storage.location import Location
from oneword.storage.sql import one_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

IndexKind: TypeAlias = Literal["BTree", "Bitmap", "LabelList", "FTS"]


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index of a table. stale: unindexed rows, which LanceDB reads one by one."""

    name: str
    column: str
    kind: str
    stale: int


VALUES_AT_ONCE = 2000  # in one SQL condition

LEAST_ROWS = 20_000
"""A smaller table gets no scalar index: its column is read in 1 ms or less."""

YOUNG = timedelta(hours=1)
"""Age up to which a version may have files that are not synced yet."""


def make_reads_cancellable() -> None:
    """Patch LanceDB's event loop so that a thread stops waiting for a call that was cancelled."""
    from lancedb.background_loop import LOOP

    def run(call: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(call, LOOP.loop)
        cancellation = current() or Cancellation()
        with cancellation.waiting(future.cancel):
            try:
                return future.result()
            except BaseException:
                future.cancel()
                cancellation.check()
                raise

    LOOP.run = run


@contextmanager
def translated_errors(location: Location, doing: str, table: str = "", identity: int | None = None) -> Iterator[None]:
    """Translate LanceDB's errors to StoreUnavailable, CollectionNotFound or DamagedCollection.

    identity: of the table's folder when it was opened: if another has its name by now, the table is not found.

    A ValueError passes unless a file is damaged: it means that LanceDB was called wrongly, which is a bug here.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        moved = identity is not None and location.identity(table) != identity
        if moved or (table and "Not found" in str(error) and "_versions" in str(error)):
            raise CollectionNotFound(table, location.uri) from error  # dropped or moved while it was open
        if table and location.path is not None and (damage := find_damage(location.path / f"{table}.lance")):
            raise DamagedCollection(table, location.uri, damage.newest, damage.sound) from error
        if isinstance(error, ValueError) and "Lance file" not in str(error):
            raise
        raise StoreUnavailable(location.uri, doing, error) from error


def schema_of(lance: Any) -> pa.Schema:
    """The schema of a LanceDB table.

    Raises:
        OSError: it has no columns: LanceDB reads a manifest of zeros, as power cuts leave them, as an empty table.
    """
    schema = lance.schema
    if not schema.names:
        raise OSError("the manifest of its newest version is empty")
    return schema


class Table:
    """One LanceDB table, at its newest version or at the one it was opened at. Columns and rows only: no items.

    `ADDRESS` can be read as a column: a number that no other row of the table ever has. Compaction changes it.
    """

    ADDRESS = "_rowid"

    def __init__(
        self,
        lance: Any,
        name: str,
        location: Location,
        durability: Durability | None = None,
        identity: int | None = None,
    ) -> None:
        """identity: of the table's folder, see `Location.identity`; taken before the table was opened."""
        self._lance, self.name, self._location, self._durability = lance, name, location, durability
        self._identity = identity

    def synced(self) -> Table:
        """This table, once its commits are on the disk if the store is durable."""
        if self._durability is not None:
            with self._doing("sync"):
                self._durability.sync()
        return self

    def schema(self) -> pa.Schema:
        """The current Arrow schema with its metadata."""
        with self._doing("read the schema"):
            return schema_of(self._lance)

    def version(self) -> int:
        """The number of the newest commit."""
        with self._doing("read the version"):
            return int(self._lance.version)

    def versions(self) -> list[dict[str, Any]]:
        """The versions that are kept, oldest first: `version` and `timestamp` (local time, no zone)."""
        with self._doing("list the versions"):
            return list(self._lance.list_versions())

    def count(self, where: str | None = None) -> int:
        """Number of rows, or of those that match the SQL condition."""
        with self._doing("count"):
            return int(self._lance.count_rows(where))

    def rows(
        self, columns: Sequence[str], *, where: str | None = None, batch_size: int = 1024
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one version in batches of at most `batch_size`, in no particular order."""
        with self._doing("read"):
            query = self._lance.search().select(list(columns))
            if where is not None:
                query = query.where(where)
            yield from query.to_batches(batch_size)

    def rows_of(self, column: str, values: Iterable[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows whose `column` has one of the values, in no particular order."""
        unique = list(dict.fromkeys(values))
        for start in range(0, len(unique), VALUES_AT_ONCE):
            yield from self.rows(columns, where=one_of(column, unique[start : start + VALUES_AT_ONCE]))

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """All rows of a snapshot, `rows` at a time, in bounded memory; a scan may read 2 GiB ahead."""
        with self._doing("read"):
            for start in range(0, total := self.count(), rows):
                stretch = list(range(start, min(start + rows, total)))
                yield from self._lance.take_offsets(stretch).select(list(columns)).to_arrow().to_batches()

    def page(self, columns: Sequence[str], *, where: str | None, offset: int, limit: int) -> Iterator[pa.RecordBatch]:
        """`limit` rows of one version that match the SQL condition, from `offset` on, in that version's order."""
        with self._doing("read"):
            query = self._lance.search().select(list(columns)).offset(offset).limit(limit)
            if where is not None:
                query = query.where(where)
            yield from query.to_batches()

    def freeze(self) -> None:
        """Stay at the current version, whatever is written later."""
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
        """The rows at those addresses, in no particular order; fast for few."""
        with self._doing("read"):
            return self._lance.take_row_ids(list(addresses)).select(list(columns)).to_arrow()

    def match_text(
        self, words: str, texts: Sequence[str], *, limit: int, where: str | None, columns: Sequence[str]
    ) -> pa.Table:
        """The `limit` rows that match any of the words best by BM25, with their `_score`, in the best of some columns.

        texts: the columns that are searched. Unindexed rows are read one by one. Which of tied rows are returned is
        arbitrary.
        """
        from lancedb.query import MatchQuery, MultiMatchQuery

        match = MatchQuery(words, texts[0]) if len(texts) == 1 else MultiMatchQuery(words, list(texts))
        with self._doing("search the texts"):
            query = self._lance.search(match).limit(limit)
            if where is not None:
                query = query.where(where, prefilter=True)
            return query.select([*columns, "_score"]).to_arrow()

    def tokens(self, text: str, column: str) -> list[str]:
        """The tokens of a text, by the column's full-text index."""
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
        """Index a column, replacing its index, in one commit. options: LanceDB's for that kind."""
        from lancedb import index

        with self._committing(f"index {column!r}"):
            self._lance.create_index(column, config=getattr(index, kind)(**options), name=f"{column}_idx")

    def merge(self, rows: pa.Table, key: str) -> tuple[int, int]:
        """Insert or replace by `key` in one commit. Returns the numbers of inserted and replaced rows."""
        with self._committing("write"):
            merge = self._lance.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
            done = merge.execute(rows)
            return int(done.num_inserted_rows), int(done.num_updated_rows)

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit, without looking anything up."""
        with self._committing("write"):
            self._lance.add(rows)

    def delete(self, where: str) -> int:
        """Delete in one commit. Returns the number of rows deleted."""
        with self._committing("delete"):
            return int(self._lance.delete(where).num_deleted_rows)

    def add_columns(self, fields: Sequence[pa.Field]) -> None:
        """Add columns, null in every existing row, in one commit."""
        with self._committing("add columns"):
            self._lance.add_columns(list(fields))

    def optimize(self, older_than: timedelta, *, orphans: bool = False) -> None:
        """Merge small files, index new rows, and remove versions older than `older_than`.

        orphans: remove files that belong to no version whatever their age, not only after 7 days.
        """
        with self._committing("optimize"):
            if older_than < YOUNG:  # sync the merged files before the old ones are removed
                self._lance.optimize(cleanup_older_than=timedelta(days=36_500))
                self.synced()
            self._lance.optimize(cleanup_older_than=older_than, delete_unverified=orphans)

    def tags(self) -> dict[str, int]:
        """The version of each tag."""
        with self._doing("list the tags"):
            return {name: int(about["version"]) for name, about in self._lance.tags.list().items()}

    def tag(self, name: str, version: int) -> None:
        """Tag an existing version; the name must be free."""
        with self._committing(f"tag version {version}"):
            self._lance.tags.create(name, version)

    def untag(self, name: str) -> None:
        """Remove a tag."""
        with self._committing(f"remove tag {name!r}"):
            self._lance.tags.delete(name)

    def branches(self) -> dict[str, int]:
        """The version of the main branch at which each branch starts."""
        with self._doing("list the branches"):
            return {name: int(about["parent_version"]) for name, about in self._lance.branches.list().items()}

    def branch(self, name: str, version: int) -> None:
        """Start a branch at a version, which no cleanup then removes as long as the table is not moved."""
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
        return translated_errors(self._location, doing, self.name, self._identity)
