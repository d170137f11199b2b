"""A collection: items of one space, written by one process at a time and read by any number."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oneword.storage import scalar_index, text_index, versions
from oneword.storage.config import RESERVE, AnnKind, check_index
from oneword.storage.database import Database
from oneword.storage.durability import live_bytes
from oneword.storage.errors import BadItem, BadSearch, MissingFaiss, NoRoom
from oneword.storage.filters import Filter
from oneword.storage.info import CollectionInfo, CollectionSummary, Compaction, IndexCheck
from oneword.storage.item import Item, UpsertCount
from oneword.storage.lock import WriterLock
from oneword.storage.quarantine import Quarantine
from oneword.storage.reader import CollectionReader
from oneword.storage.rules import Rules
from oneword.storage.schema import created_of, metadata_kinds, to_arrow
from oneword.storage.sql import one_of
from oneword.storage.table import IndexKind, Table
from oneword.storage.versions import Version

if TYPE_CHECKING:
    import pyarrow as pa

    from oneword.storage.ann.files import IndexInfo
    from oneword.storage.ann.keeper import Unrelated

log = logging.getLogger(__name__)

# Readers of other processes may be in the middle of an older version; no read takes an hour.
SAFE_AGE = timedelta(hours=1)

# Ids in one SQL condition and one commit. 100,000 of 200,000 rows with an index on id, two cores: 1.0 s by 10,000;
# by 2,000, in 50 commits, 1.3 s; in one, 1.7 s and 110 MB more.
DELETED_AT_ONCE = 10_000

WORTH_ASKING = 100
"""Items from which `keep_index` embeds a few hundred texts to learn what scores mean; `build_index` always does."""

MARGIN = timedelta(minutes=1)  # between the age of a pinned version and that of versions that are removed


class Collection(CollectionReader):
    """Items and their vectors in one table. Get one from Store.

    Reading is CollectionReader's. Writing is safe for threads that share the object; other writers are kept out by a
    lock. A method that writes raises Locked if another writer has it. Every version that has items has a keyword index.
    """

    def __init__(self, database: Database, table: Table, *, lock_timeout: float = 0.0) -> None:
        super().__init__(database, table)
        self._lock = WriterLock(database.location.lock_file(table.name), table.name)
        self._lock_timeout = lock_timeout
        self._commit = threading.Lock()  # threads that share the writer's lock commit one after the other

    def writing(self, lock_timeout: float | None = None) -> AbstractContextManager[None]:
        """Hold the writer's lock for a `with` block; single writes do so themselves. Re-entrant.

        lock_timeout: seconds to wait for another writer; None: as the store was created with.

        Raises:
            Locked: another writer has it.
        """
        return self._lock.hold(self._lock_timeout if lock_timeout is None else lock_timeout)

    def upsert(self, items: Iterable[Item]) -> UpsertCount:
        """Store items, replacing those of the same id; if an id is given twice, the last item wins.

        All in one commit, or nothing. (A metadata key that is new is one commit before it, which adds an empty column.)

        Raises:
            BadItem: an item cannot be stored; then none is.
        """
        latest = _latest(items)
        if not latest:
            return UpsertCount(added=0, updated=0)
        with self.writing(), self._commit:
            table = self._table()
            inserted, replaced = table.merge(self._rows(table, latest), "id")
        return UpsertCount(added=inserted, updated=replaced)

    def insert(self, items: Iterable[Item]) -> int:
        """Store items whose ids are known to be new, at a cost that does not grow with the collection.

        All in one commit, or nothing, like `upsert`; but no id is looked up, so one that exists would be there twice.
        Only a caller that has looked inside the same `writing()` block can know. Returns the number of items.

        Raises:
            BadItem: an item cannot be stored, or an id is given twice; then none is.
            RuntimeError: outside a `writing()` block.
        """
        self._check_writing("insert")
        given = list(items)
        repeated = next((name for name, times in Counter(item.id for item in given).items() if times > 1), None)
        if repeated is not None:
            raise BadItem(f"item {repeated!r} is given twice in one insert, expected once; leave one out, or upsert")
        if given:
            with self._commit:
                table = self._table()
                table.append(self._rows(table, given))
        return len(given)

    def sweep(self) -> None:
        """`optimize`, and remove the files that belong to no version, as a killed job leaves them."""
        self._optimize(SAFE_AGE, orphans=True)

    def check(self, items: Iterable[Item]) -> dict[str, str]:
        """The ids of items that `upsert` or `insert` would refuse, with reasons; the others can be stored together.

        If an id is given twice the last item counts, as in `upsert`. The first item with a new metadata key decides its
        kind.
        """
        return Rules(self._table().schema()).refused(_latest(items))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete items by id in batches of DELETED_AT_ONCE. Returns the number deleted; safe to retry."""
        unique = list(dict.fromkeys(ids))
        with self.writing() if unique else nullcontext():
            parts = (unique[start : start + DELETED_AT_ONCE] for start in range(0, len(unique), DELETED_AT_ONCE))
            return sum(self._delete(one_of("id", part)) for part in parts)

    def delete_where(self, filter: Filter | str) -> int:  # noqa: A002 - the product's word
        """Delete the items that pass the filter. Returns the number deleted."""
        where = self._where(filter)
        return self._delete(where) if where else 0

    def optimize(self, older_than: timedelta = SAFE_AGE) -> None:
        """Merge the files of many small commits, and remove versions older than `older_than`.

        A reader in the middle of a removed version fails; the default leaves it an hour. A version `pinned` here stays,
        whatever its age. If the disk has too little space, a warning is logged and nothing is done.
        """
        try:
            self._optimize(older_than)
        except NoRoom as error:
            log.warning("%s", error)

    @contextmanager
    def pinned(self) -> Iterator[int]:
        """The number of the newest version, which stays readable for a `with` block whatever is written in it.

        Reads at that version (`get`, `content_hashes`, `vectors_by_hash` and `ids` take it) cost the same however much
        is written meanwhile: a job compares its inputs with it. The block holds the writer's lock, so nobody else
        removes versions. Call `index_metadata` first on a large collection.

        Raises:
            Locked: another writer has the collection.
        """
        with self.writing(), self._snapshots.pinned() as snapshot:
            yield snapshot.version

    def compact(self, older_than: timedelta = SAFE_AGE) -> Compaction:
        """`optimize`, with a report.

        Raises:
            NoRoom: the disk has too little space; nothing has changed.
        """
        with self.writing():
            location, table = self._database.location, self._table()
            before = {one["version"] for one in table.versions()}
            files, size = location.files_of(self.name), location.bytes_of(self.name)
            self._optimize(older_than)
            after = {one["version"] for one in table.versions()}
            return Compaction(
                files_before=files,
                files_after=location.files_of(self.name),
                bytes_before=size,
                bytes_after=location.bytes_of(self.name),
                versions_removed=len(before - after),
                versions_kept=len(after),
            )

    def versions(self) -> list[Version]:
        """The versions that are kept, oldest first."""
        return versions.versions(self._table())

    def tags(self) -> dict[str, int]:
        """The version of each tag, by name."""
        return versions.tags(self._table())

    def tag(self, name: str, version: int | None = None) -> int:
        """Tag a version, by default the newest, so that no cleanup removes it. Returns the version; safe to retry.

        Raises:
            StorageError: the name is not allowed, or is the tag of another version.
            VersionNotFound: no such version.
        """
        with self.writing(), self._commit:
            return versions.tag(self._table(), name, version)

    def untag(self, name: str) -> None:
        """Remove a tag.

        Raises:
            VersionNotFound: no such tag.
        """
        with self.writing(), self._commit:
            versions.untag(self._table(), name)

    def restore(self, version: int | str) -> int:
        """Create a version with the items of an older one, by number or tag. Returns its number. Nothing is removed.

        Raises:
            VersionNotFound: no such version or tag.
        """
        with self.writing(), self._commit:
            table = self._table()
            self._database.restore(self.name, versions.resolve(table, version))
            text_index.create(table)
            return table.version()

    def build_index(
        self, *, goal: float = 0.99, index: AnnKind | None = None, unrelated: Unrelated | None = None
    ) -> IndexInfo:
        """Build the ANN index of the newest version and switch to it, while searches go on.

        goal: recall@10 to reach; the search parameters are tuned to it.
        index: its structure, one of `oneword.storage.config.INDEXES`; None: the configured one.
        unrelated: returns vectors of unrelated texts, by which hits get their confidence.

        Raises:
            MissingFaiss: FAISS is not installed.
            BadSearch: the goal is out of range, or there is no such structure.
        """
        check_index(index or "auto")
        if not 0.5 <= goal <= 1:
            raise BadSearch(f"goal {goal}: expected 0.5 to 1, the share of the ten nearest to be found")
        if (keeper := self.index_keeper()) is None:
            raise MissingFaiss(self.name)
        return keeper.build(self.snapshot(), goal=goal, kind=index, unrelated=unrelated)

    def keep_index(self, *, aside: bool = True, unrelated: Unrelated | None = None) -> bool:
        """Build the ANN index if a build is due: there is none, or much was written since. Returns whether it does.

        Does nothing if FAISS is not installed. aside: build in a thread; otherwise wait for it.
        unrelated: as for `build_index`; a build is due, too, where a collection of `WORTH_ASKING` items has none yet.
        """
        keeper, snapshot = self.index_keeper(), self.snapshot()
        if keeper is None:
            return False
        if snapshot.table.count() < WORTH_ASKING:
            unrelated = None
        known = keeper.confidence(snapshot) if unrelated else None
        if not keeper.due(snapshot) and (unrelated is None or (known is not None and known.unrelated is not None)):
            return False
        if aside:
            return keeper.build_aside(snapshot, unrelated=unrelated) is not None
        keeper.build(snapshot, unrelated=unrelated)
        return True

    def maintain(self) -> None:
        """Upkeep after many writes: compaction, metadata indexes and the keyword index."""
        with self.writing():
            self.optimize()
            self.index_metadata()
            self.index_keywords()

    def index_metadata(self) -> dict[str, IndexKind]:
        """Create the scalar indexes that speed up filters, and index new rows. Returns the columns indexed.

        A small collection gets none. Cheap if there is nothing to do; readers go on meanwhile.
        """
        with self.writing(), self._commit:
            return scalar_index.ensure(self._table())

    def index_keywords(self) -> bool:
        """Create the keyword index, or index new rows if they are many. Returns whether there was anything to do."""
        with self.writing(), self._commit:
            return text_index.ensure(self._table())

    def verify(self, *, queries: int = 100) -> IndexCheck | None:
        """Compare the ANN index with the table; None if there is no index. queries: sampled for the recall."""
        keeper = self.index_keeper()
        return keeper.check(self.snapshot(), queries=queries) if keeper else None

    def summary(self) -> CollectionSummary:
        """The facts that are read quickly."""
        return CollectionSummary(
            name=self.name,
            items=self.count(),
            model=self.space["model"],
            view=self.space["view"],
            dimension=self.dimension,
            version=self.version,
        )

    def info(self) -> CollectionInfo:
        """Facts about the collection at its newest version."""
        table = self._table()
        schema, index = table.schema(), self.index_info()
        by_modality = {name: table.count(one_of("modality", [name])) for name in ("image", "text")}
        return CollectionInfo(
            **vars(self.summary()),
            by_modality={name: count for name, count in by_modality.items() if count},
            space=self.space,
            metadata_keys={key: kind for key, kind in metadata_kinds(schema).items() if not key.startswith("_")},
            quarantined=Quarantine(self._database, self.name).count(),
            index={name: value for name, value in vars(index).items() if name != "digests"} if index else None,
            created=created_of(schema),
            updated=table.versions()[-1]["timestamp"].astimezone(UTC),
            bytes_on_disk=self._database.location.bytes_of(self.name),
        )

    def _optimize(self, older_than: timedelta, *, orphans: bool = False) -> None:
        with self.writing(), self._commit:
            self._check_room()
            with versions.kept(table := self._table()):
                if (pinned := self._snapshots.oldest_pinned) is not None:
                    older_than = max(older_than, versions.age(table, pinned) + MARGIN)
                table.optimize(older_than, orphans=orphans)
                if orphans:
                    self._database.remove_partial_files(self.name)

    def _check_room(self) -> None:
        """Merging rewrites all files before it removes old ones. The ANN index is removed if its space is needed."""
        path = self._database.location.path
        if path is None:
            return
        needed = live_bytes(path / f"{self.name}.lance") + RESERVE
        if shutil.disk_usage(path).free >= needed:
            return
        keeper = self.index_keeper()
        if keeper is not None:
            keeper.remove()
        if (free := shutil.disk_usage(path).free) < needed:
            raise NoRoom(self._database.location.uri, self.name, needed=needed, free=free)

    def _check_writing(self, doing: str) -> None:
        if not self._lock.held:
            raise RuntimeError(f"{doing} of {self.name!r} outside its writing() block: expected to be the one writer")

    def _rows(self, table: Table, items: Sequence[Item]) -> pa.Table:
        """The items as rows; the columns and the keyword index that they need are created."""
        rules = Rules(schema := table.schema())
        for item in items:
            rules.admit(item)
        added = rules.new_columns()
        for field in added:
            schema = schema.append(field)
        rows = to_arrow(items, schema, datetime.now(UTC))  # every check is passed before anything is written
        if added:
            table.add_columns(added)
        text_index.create(table)
        return rows

    def _delete(self, where: str) -> int:
        with self.writing(), self._commit:
            return self._table().delete(where)


def _latest(items: Iterable[Item]) -> list[Item]:
    return list({item.id: item for item in items}.values())
