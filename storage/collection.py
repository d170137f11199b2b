"""A collection: items of one space, written by one process at a time and read by any number."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import ArrayLike

from oneword.storage import scalar_index, text_index, versions
from oneword.storage.config import RESERVE
from oneword.storage.database import Database
from oneword.storage.durability import live_bytes
from oneword.storage.errors import (
    BadItem,
    BadSearch,
    Locked,
    MissingFaiss,
    MissingKeywords,
    NoRoom,
    StoreUnavailable,
)
from oneword.storage.filters import Filter
from oneword.storage.info import CollectionInfo, Compaction
from oneword.storage.item import Item, UpsertCount
from oneword.storage.lock import WriterLock
from oneword.storage.metadata import Kind
from oneword.storage.quarantine import Quarantine
from oneword.storage.ranking import Ranked
from oneword.storage.reader import CollectionReader
from oneword.storage.rules import Rules
from oneword.storage.schema import metadata_kinds, to_arrow
from oneword.storage.search import Hits
from oneword.storage.sql import one_of
from oneword.storage.table import IndexKind, Table
from oneword.storage.versions import Version

if TYPE_CHECKING:
    import pyarrow as pa

    from oneword.storage.ann.check import Check
    from oneword.storage.ann.files import IndexInfo
    from oneword.storage.ann.keeper import IndexKeeper
    from oneword.storage.fragments import FragmentTarget

log = logging.getLogger(__name__)

Found = TypeVar("Found")

# Readers of other processes may be in the middle of an older version; no read takes an hour.
SAFE_AGE = timedelta(hours=1)

# Ids in one SQL condition and one commit. 100,000 of 200,000 rows with an index on id, two cores: 1.0 s by 10,000;
# by 2,000, in 50 commits, 1.3 s; in one, 1.7 s and 110 MB more.
DELETED_AT_ONCE = 10_000

MARGIN = timedelta(minutes=1)  # a pinned version is that much younger than what is removed


class Collection(CollectionReader):
    """Items and their vectors in one table. Get one from Store.

    Reading is CollectionReader's. Writing is safe from threads that share the object; any other
    writer is kept out by a lock. A method that writes raises Locked if another writer has it.
    """

    def __init__(self, database: Database, table: Table, *, lock_timeout: float = 0.0) -> None:
        super().__init__(database, table)
        self._lock = WriterLock(database.location.lock_file(table.name), table.name)
        self._lock_timeout = lock_timeout
        self._commit = threading.Lock()  # threads that share the writer's lock still commit in turn

    def writing(self, lock_timeout: float | None = None) -> AbstractContextManager[None]:
        """Be the one writer for a `with` block; upsert and delete do so themselves for one call. Re-entrant.

        lock_timeout: seconds to wait for another writer; None means what the store was made with.

        Raises:
            Locked: another writer has it.
        """
        return self._lock.hold(self._lock_timeout if lock_timeout is None else lock_timeout)

    def upsert(self, items: Iterable[Item]) -> UpsertCount:
        """Store items, replacing those of the same id whole; of one id given twice, the last wins.

        All in one commit, or nothing. (A metadata key met for the first time is one commit before it:
        an empty column.)

        Raises:
            BadItem: an item that cannot be stored; then none is.
            Locked: another writer has the collection.
        """
        latest = _latest(items)
        if not latest:
            return UpsertCount(added=0, updated=0)
        with self.writing(), self._commit:
            table = self._table()
            inserted, replaced = table.merge(self._rows(table, latest), "id")
        return UpsertCount(added=inserted, updated=replaced)

    def insert(self, items: Iterable[Item]) -> int:
        """Store items whose ids are known not to be there, at a cost that does not grow with the collection; how many.

        All in one commit, or nothing, as `upsert`; but nothing is looked up, so an id that is there already would be
        there twice. Only who has looked since it became the one writer can know, so this is for a `writing()` block.

        Raises:
            BadItem: an item that cannot be stored, or an id that is given twice; then none is.
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

    def declare(self, kinds: Mapping[str, Kind]) -> None:
        """Make columns for metadata keys before any item has them.

        Raises:
            BadItem: a key or a kind that cannot be, or another kind than the key has; then none is made.
        """
        with self.writing(), self._commit:
            table = self._table()
            rules = Rules(table.schema())
            for key, kind in kinds.items():
                rules.declare(key, kind)
            if added := rules.new_columns():
                table.add_columns(added)

    def fragment_target(self) -> FragmentTarget:
        """What processes need to write fragments of this collection with `write_fragments`, as it is now.

        Raises:
            MissingLance: pylance is not installed.
        """
        from oneword.storage.fragments import target

        location = self._database.location
        return target(location.table_uri(self.name), self.schema(), self._database.storage_options)

    def commit_fragments(self, fragments: Iterable[str]) -> int:
        """Make what `write_fragments` wrote part of the collection, in one commit; how many items. As for `insert`, the
        caller knows that their ids are not there, so this is for a `writing()` block. Those committed already are left
        out, so doing it again is no error.

        Raises:
            BadFragment: one that cannot be; then none is.
            RuntimeError: outside a `writing()` block.
        """
        from oneword.storage.fragments import commit

        self._check_writing("commit_fragments")
        with self._commit:
            done = commit(self.fragment_target(), list(fragments))
            self._table().synced()
            return done

    def sweep(self) -> None:
        """`optimize`, and remove the files of fragments that were never committed, half-written ones too.

        For a committer before its workers begin, and after they have ended: also what they are writing would go.
        """
        self._optimize(SAFE_AGE, orphans=True)

    def check(self, items: Iterable[Item]) -> dict[str, str]:
        """The ids of items that `upsert` or `insert` would refuse, each with why; the rest can be stored together.

        Of one id given twice the last counts, as in `upsert`. Of two items with one new metadata key and two kinds the
        first decides.
        """
        return Rules(self._table().schema()).refused(_latest(items))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete by id; how many there were. Of many, so many in a commit; cut short, doing it again does the rest."""
        wanted = list(dict.fromkeys(ids))
        with self.writing() if wanted else nullcontext():
            parts = (wanted[start : start + DELETED_AT_ONCE] for start in range(0, len(wanted), DELETED_AT_ONCE))
            return sum(self._delete(one_of("id", part)) for part in parts)

    def delete_where(self, filter: Filter | str) -> int:  # noqa: A002 - the product's word
        """Delete what the filter finds; how many."""
        where = self._where(filter)
        return self._delete(where) if where else 0

    def optimize(self, older_than: timedelta = SAFE_AGE) -> None:
        """Compact the files of many small commits, and remove versions older than `older_than`.

        A reader still in the middle of a removed version fails; the default leaves it an hour. What is `pinned` here
        stays, whatever its age. Where the disk has too little room, a warning is logged and nothing is done.
        """
        try:
            self._optimize(older_than)
        except NoRoom as error:
            log.warning("%s", error)

    @contextmanager
    def pinned(self) -> Iterator[int]:
        """The newest version's number, to be read at for a `with` block, whatever is written and cleaned up in it.

        What is read at that version (`get`, `content_hashes`, `vectors_by_hash` and `ids` take it) is what there was
        when the block began, at a cost that does not grow with what is written in it: what a job needs to tell what is
        new. The block is the one writer's, as `writing()`: nobody else can clean up meanwhile. On a large collection
        call `index_metadata` first.

        Raises:
            Locked: another writer has the collection.
        """
        with self.writing(), self._snapshots.pinned() as snapshot:
            yield snapshot.version

    def compact(self, older_than: timedelta = SAFE_AGE) -> Compaction:
        """As `optimize`, and tell what it did.

        Raises:
            NoRoom: the disk has too little room; everything is as it was.
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
        """The versions still kept, oldest first."""
        return versions.versions(self._table())

    def tags(self) -> dict[str, int]:
        """The version of each tag, by name."""
        return versions.tags(self._table())

    def tag(self, name: str, version: int | None = None) -> int:
        """Name a version, or the newest, so that no cleanup removes it; which it was. Doing it again is no error.

        Raises:
            BadTag: the name is not allowed, or stands for another version.
            VersionNotFound: no such version.
        """
        with self.writing(), self._commit:
            return versions.tag(self._table(), name, version)

    def untag(self, name: str) -> None:
        """Take a tag away.

        Raises:
            VersionNotFound: no such tag.
        """
        with self.writing(), self._commit:
            versions.untag(self._table(), name)

    def restore(self, version: int | str) -> int:
        """Make a new version with the items of an older one, by number or tag; its number. Nothing is removed.

        Raises:
            VersionNotFound: no such version or tag.
        """
        with self.writing(), self._commit:
            table = self._table()
            self._database.restore(self.name, versions.resolve(table, version))
            return table.version()

    def build_index(self, *, goal: float = 0.99) -> IndexInfo:
        """Build the ANN index of what is stored now, and swap it in; nobody has to wait.

        goal: the share of the ten nearest that it must find; the effort that takes is measured.

        Raises:
            MissingFaiss: FAISS is not installed.
            BadSearch: the goal is no such share.
        """
        if not 0.5 <= goal <= 1:
            raise BadSearch(f"goal {goal}: expected 0.5 to 1, the share of the ten nearest to be found")
        return self._needed_keeper().build(self.snapshot(), goal=goal)

    def keep_index(self, *, aside: bool = True) -> bool:
        """Build the ANN index if one is due: there is none, or much was written since. Says whether it does.

        Where FAISS is not installed, none is. aside: in a thread, while searches go on; otherwise wait for it.
        """
        keeper, snapshot = self.index_keeper(), self.snapshot()
        if keeper is None or not keeper.due(snapshot):
            return False
        if aside:
            return keeper.build_aside(snapshot) is not None
        keeper.build(snapshot)
        return True

    def maintain(self) -> None:
        """What is due after much was written: compaction, and indexes of metadata and of words."""
        with self.writing():
            self.optimize()
            self.index_metadata()
            self.index_keywords()

    def index_metadata(self) -> dict[str, IndexKind]:
        """Make the scalar indexes that filters profit from, and cover new rows; the columns indexed by this call.

        Nothing is made for a small collection. Cheap to call again; readers go on meanwhile.
        """
        with self.writing(), self._commit:
            return scalar_index.ensure(self._table())

    def index_keywords(self) -> bool:
        """Make the index that `keywords` needs, or cover new rows; whether there was anything to do."""
        with self.writing(), self._commit:
            return text_index.ensure(self._table())

    def keywords(
        self,
        words: str,
        *,
        count: int,
        filter: Filter | str | None = None,  # noqa: A002
        version: int | None = None,
    ) -> list[Ranked]:
        """As CollectionReader's; the first search of the newest version makes the index, if nobody else writes."""
        search = super().keywords
        return self._with_keywords(lambda: search(words, count=count, filter=filter, version=version), version)

    def search_batch(self, vectors: Iterable[ArrayLike | None], **wanted: Any) -> list[Hits]:
        """As CollectionReader's; the first search by words makes their index, as `keywords` does."""
        search, asked = super().search_batch, list(vectors)
        return self._with_keywords(lambda: search(asked, **wanted), wanted.get("version"))

    def _with_keywords(self, search: Callable[[], Found], version: int | None) -> Found:
        try:
            return search()
        except MissingKeywords as missing:
            if version is not None:
                raise
            try:
                self.index_keywords()
            except (Locked, StoreUnavailable):
                raise missing from None
        return search()

    def verify(self) -> Check | None:
        """Compare the ANN index with the table, or None if there is none."""
        keeper = self.index_keeper()
        return keeper.check(self.snapshot()) if keeper else None

    def info(self) -> CollectionInfo:
        """What there is to know about the collection now."""
        table = self._table()
        schema, newest = table.schema(), table.versions()[-1]
        by_modality = {name: table.count(one_of("modality", [name])) for name in ("image", "text")}
        return CollectionInfo(
            name=self.name,
            items=sum(by_modality.values()),
            by_modality={name: count for name, count in by_modality.items() if count},
            space=self.space,
            dimension=self.dimension,
            version=newest["version"],
            bytes_on_disk=self._database.location.bytes_of(self.name),
            metadata_keys=metadata_kinds(schema),
            quarantined=Quarantine(self._database, self.name).count(),
            serving=asdict(index) if (index := self.index_info()) else None,
            created=self.created,
            updated=newest["timestamp"].astimezone(UTC),
        )

    def _needed_keeper(self) -> IndexKeeper:
        keeper = self.index_keeper()
        if keeper is None:
            raise MissingFaiss(self.name)
        return keeper

    def _optimize(self, older_than: timedelta, *, orphans: bool = False) -> None:
        with self.writing(), self._commit:
            self._check_room()
            with versions.kept(table := self._table()):
                if (pinned := self._snapshots.oldest_pinned) is not None:
                    older_than = max(older_than, versions.age(table, pinned) + MARGIN)
                table.optimize(older_than, orphans=orphans)
                if orphans:
                    self._database.sweep_halves(self.name)

    def _check_room(self) -> None:
        """Merging writes all files anew before it removes old ones. Where a derived index takes the room, it goes."""
        path = self._database.location.path
        if path is None:
            return
        wanted = live_bytes(path / f"{self.name}.lance")
        if shutil.disk_usage(path).free >= wanted + RESERVE:
            return
        keeper = self.index_keeper()
        if keeper is not None:
            keeper.remove()
        if (free := shutil.disk_usage(path).free) < wanted + RESERVE:
            raise NoRoom(self._database.location.uri, self.name, wanted=wanted + RESERVE, free=free)

    def _check_writing(self, doing: str) -> None:
        if not self._lock.held:
            raise RuntimeError(f"{doing} of {self.name!r} outside its writing() block: expected to be the one writer")

    def _rows(self, table: Table, items: Sequence[Item]) -> pa.Table:
        """The items as rows, for whose metadata there are columns now."""
        rules = Rules(schema := table.schema())
        for item in items:
            rules.admit(item)
        added = rules.new_columns()
        for field in added:
            schema = schema.append(field)
        rows = to_arrow(items, schema, datetime.now(UTC))  # every check is passed before anything is written
        if added:
            table.add_columns(added)
        return rows

    def _delete(self, where: str) -> int:
        with self.writing(), self._commit:
            return self._table().delete(where)


def _latest(items: Iterable[Item]) -> list[Item]:
    return list({item.id: item for item in items}.values())
