"""The reading half of a collection."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oneword.storage import ranking, text_index
from oneword.storage.database import Database
from oneword.storage.errors import BadItem, BadSearch, StorageError, StoreUnavailable, VersionNotFound
from oneword.storage.filters import Filter, parse_filter
from oneword.storage.filters import compile as compile_filter
from oneword.storage.item import Item
from oneword.storage.schema import ITEM_COLUMNS, check_same, created_of, metadata_kinds, space_of, to_items, vectors_of
from oneword.storage.search import Hits, HybridRanking, KeywordRanking, SearchOptions, check_field, page
from oneword.storage.snapshot import Snapshot, Snapshots
from oneword.storage.sql import one_of
from oneword.storage.table import Table

if TYPE_CHECKING:
    from oneword.storage.ann.files import IndexInfo
    from oneword.storage.ann.keeper import IndexKeeper

IDS_AT_ONCE = 2000  # ids in one SQL condition


class CollectionReader:
    """Finds and reads items; safe from any number of threads and processes.

    Every call sees every commit made before it, also by other processes. Every method that takes a
    `filter` takes a Filter or its text, and raises FilterError for one that does not fit. Every method
    raises CollectionNotFound once the collection has been dropped, SpaceMismatch once it has been made
    again with another space, and StoreUnavailable if the place fails.
    """

    def __init__(self, database: Database, table: Table) -> None:
        schema = table.schema()
        self.name = table.name
        self.uri = database.location.uri
        self.space: dict[str, Any] = space_of(schema)
        self.created = created_of(schema)
        self._database, self._kept = database, table
        self._snapshots = Snapshots(database, table.name, self.space)
        self._mutex = threading.Lock()
        self._keeper: IndexKeeper | None = None

    @property
    def dimension(self) -> int:
        """d: how many numbers a vector has."""
        return int(self.space["dimension"])

    @property
    def version(self) -> int:
        """The newest commit's number. It grows with every commit, and starts again if the collection is
        dropped and made again: `created` tells the two apart."""
        return self.snapshot().version

    def get(
        self, ids: Iterable[str], *, vectors: bool = False, thumbnails: bool = True, version: int | None = None
    ) -> dict[str, Item]:
        """The items of those ids that exist, in the order asked, at a version or now.

        vectors: with float32 (d,) vectors.

        Raises:
            VersionNotFound: `version` is not there, or not any more.
        """
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Item] = {}
        for batch in self._rows_of("id", wanted, self._columns(vectors, thumbnails), self._at(version)):
            found |= {item.id: item for item in to_items(batch)}
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    def content_hashes(self, ids: Iterable[str], *, version: int | None = None) -> dict[str, str]:
        """The content hashes of those ids that exist: to tell what is unchanged without reading it."""
        found: dict[str, str] = {}
        wanted = list(dict.fromkeys(ids))
        for batch in self._rows_of("id", wanted, ["id", "content_hash"], self._at(version)):
            found.update(zip(batch["id"].to_pylist(), batch["content_hash"].to_pylist(), strict=True))
        return found

    def vectors_by_hash(self, hashes: Iterable[str], *, version: int | None = None) -> dict[str, NDArray[np.float32]]:
        """The vector, float32 (d,), of each hash that some item has: equal content is embedded once."""
        found: dict[str, NDArray[np.float32]] = {}
        wanted = list(dict.fromkeys(hashes))
        for batch in self._rows_of("content_hash", wanted, ["content_hash", "vector"], self._at(version)):
            found.update(zip(batch["content_hash"].to_pylist(), vectors_of(batch).astype(np.float32), strict=True))
        return found

    def ids(self, *, batch_size: int = 4096, version: int | None = None) -> Iterator[list[str]]:
        """The id of every item of one version, in batches and in no promised order."""
        for batch in (self._at(version) or self._table()).rows(["id"], batch_size=batch_size):
            if batch.num_rows:
                yield batch["id"].to_pylist()

    def count(self, filter: Filter | str | None = None) -> int:  # noqa: A002
        """How many items there are, or the filter finds."""
        return self._table().count(self._where(filter))

    def scan(
        self,
        *,
        filter: Filter | str | None = None,  # noqa: A002
        vectors: bool = False,
        thumbnails: bool = True,
        batch_size: int = 1024,
    ) -> Iterator[list[Item]]:
        """Every item, or those the filter finds, of one version, in batches and in no promised order."""
        columns, where = self._columns(vectors, thumbnails), self._where(filter)
        for batch in self._table().rows(columns, where=where, batch_size=batch_size):
            if batch.num_rows:
                yield to_items(batch)

    def page(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        filter: Filter | str | None = None,  # noqa: A002
        vectors: bool = False,
        thumbnails: bool = False,
        version: int | None = None,
    ) -> tuple[list[Item], int]:
        """Some of the items of one version, or of those the filter finds, and which version it was.

        Pages of one version and filter, asked for one after the other, have every item once.

        Raises:
            VersionNotFound: `version` is not there, or not any more.
        """
        snapshot = self.snapshot(version)
        if limit < 1:  # which LanceDB takes for no limit
            return [], snapshot.version
        batches = snapshot.table.stretch(
            self._columns(vectors, thumbnails), where=snapshot.where(filter), offset=offset, limit=limit
        )
        return [item for batch in batches for item in to_items(batch)], snapshot.version

    def scan_vectors(self, *, batch_size: int = 4096) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The ids (n) and vectors float32 (n, d) of one version, in batches: to derive an index from."""
        for batch in self._table().rows(["id", "vector"], batch_size=batch_size):
            if batch.num_rows:
                yield batch["id"].to_pylist(), vectors_of(batch).astype(np.float32)

    def search(self, vector: ArrayLike | None = None, **wanted: Any) -> Hits:
        """The items nearest to `vector` (d,) of any length but 0: by cosine, highest first, equal ones by id.

        With `keywords`, fused with the items that have those words; without a vector, those alone.

        wanted: what `SearchOptions` takes: limit, offset, filter, min_score, exclude_ids, exclude_image_hashes,
            diversity, group_by, keywords, fusion, keyword_weight, version, exact, thumbnails. The ANN index is
            used if there is one.

        Raises:
            MissingKeywords: `keywords`, where no index of words can be had.
            BadItem: the vector has another dimension, is not finite or is all zeros.
            BadSearch: a limit, offset, diversity or grouping that cannot be.
            VersionNotFound: `version` is not there, or not any more.
        """
        return self.search_batch([vector], **wanted)[0]

    def search_batch(self, vectors: Iterable[ArrayLike | None], **wanted: Any) -> list[Hits]:
        """As `search` for each of some vectors, all of one version; quicker than one by one."""
        request = SearchOptions(**wanted)
        questions = [None if vector is None else self._question(vector) for vector in vectors]
        if request.keywords is None and any(question is None for question in questions):
            raise BadSearch("a search without a vector and without keywords: expected one of them")
        try:
            return self._pages(questions, request)
        except (StoreUnavailable, VersionNotFound):
            # Where a newer version has come, another writer may have cleaned up the one that was being read.
            if request.version is not None:
                self._database.open(self.name, request.version)  # says so, if it is gone
                raise
            if self._snapshots.current:
                raise
        return self._pages(questions, request)

    def keywords(
        self,
        words: str,
        *,
        count: int,
        filter: Filter | str | None = None,  # noqa: A002
        version: int | None = None,
    ) -> list[ranking.Ranked]:
        """The `count` items whose text has the words, as (BM25, id): highest first, equal ones by id.

        words: plain words, of which one suffices. version: of the table, as `version` told it; None: the newest.

        Raises:
            MissingKeywords: there is no keyword index at that version.
            VersionNotFound: `version` is not there, or not any more.
        """
        snapshot = self.snapshot(version)
        return text_index.search(snapshot.table, words, count=count, where=snapshot.where(filter))

    def index_keeper(self) -> IndexKeeper | None:
        """The ANN index's keeper, or None where FAISS is not installed."""
        with self._mutex:
            if self._keeper is None and find_spec("faiss") is not None:
                from oneword.storage.ann.keeper import IndexKeeper

                folder = self._database.location.serving_folder(self.name)
                self._keeper = IndexKeeper(folder, self._database.config)
            return self._keeper

    def index_info(self) -> IndexInfo | None:
        """What answers `search`: the ANN index, or None if it is the table itself."""
        keeper = self.index_keeper()
        return keeper.info(self.snapshot()) if keeper else None

    def snapshot(self, version: int | None = None) -> Snapshot:
        """The table as it was at a version, or is now.

        Raises:
            VersionNotFound: there is none, or not any more.
        """
        return self._snapshots.newest() if version is None else self._snapshots.at(version)

    def _pages(self, questions: Sequence[NDArray[np.float32] | None], wanted: SearchOptions) -> list[Hits]:
        snapshot = self.snapshot(wanted.version)
        if wanted.group_by is not None:
            check_field(wanted.group_by, list(metadata_kinds(snapshot.schema)))
        try:
            pages = [page(one, wanted, snapshot.version) for one in self._rankings(snapshot, questions, wanted)]
        except StorageError:
            raise
        except Exception as error:  # of a damaged index, whose files may make its reader raise anything
            keeper = None if wanted.exact else self.index_keeper()
            if keeper is None:
                raise
            keeper.distrust(None, error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
            wanted = replace(wanted, exact=True)
            pages = [page(one, wanted, snapshot.version) for one in self._rankings(snapshot, questions, wanted)]
        return [self._with_thumbnails(hits, snapshot.table) for hits in pages] if wanted.thumbnails else pages

    def _rankings(
        self, snapshot: Snapshot, questions: Sequence[NDArray[np.float32] | None], wanted: SearchOptions
    ) -> Sequence[ranking.Ranking]:
        where = snapshot.where(wanted.filter)
        asked = [question for question in questions if question is not None]
        nearest = iter(self._nearest(snapshot, asked, where, wanted))
        if wanted.keywords is None:
            return list(nearest)
        words = KeywordRanking(table=snapshot.table, where=where, depths=(wanted.reach,), words=wanted.keywords)
        return [
            words if question is None else HybridRanking(next(nearest), words, wanted.fusion, wanted.keyword_weight)
            for question in questions
        ]

    def _nearest(
        self, snapshot: Snapshot, questions: Sequence[NDArray[np.float32]], where: str | None, wanted: SearchOptions
    ) -> Sequence[ranking.Ranking]:
        keeper = None if wanted.exact or not questions else self.index_keeper()
        served = keeper.rankings(snapshot, questions, where) if keeper else None
        if served is not None:
            return served
        return [
            ranking.ExactRanking(
                table=snapshot.table,
                where=where,
                depths=(wanted.reach,),
                query=question,
                floor=None if wanted.keywords else wanted.min_score,
            )
            for question in questions
        ]

    def _with_thumbnails(self, hits: Hits, table: Table) -> Hits:
        found: dict[str, bytes] = {}
        for batch in self._rows_of("id", [hit.item.id for hit in hits], ["id", "thumbnail"], table):
            found.update(zip(batch["id"].to_pylist(), batch["thumbnail"].to_pylist(), strict=True))
        with_them = (replace(hit, item=replace(hit.item, thumbnail=found.get(hit.item.id))) for hit in hits)
        return Hits(with_them, version=hits.version, total=hits.total)

    def schema(self) -> pa.Schema:
        """The table's Arrow schema now: what `oneword.storage.filters.compile` takes."""
        return self._table().schema()

    def _table(self) -> Table:
        """The table, known to be still of this space: it may have been dropped and made again meanwhile."""
        check_same(self.name, space_of(self._kept.schema()), self.space)
        return self._kept

    def _at(self, version: int | None) -> Table | None:
        return None if version is None else self.snapshot(version).table

    def _where(self, condition: Filter | str | None) -> str | None:
        if condition is None:
            return None
        return compile_filter(parse_filter(condition), self.schema())

    def _columns(self, vectors: bool, thumbnails: bool) -> list[str]:
        return [*ITEM_COLUMNS, *["thumbnail"] * thumbnails, *["vector"] * vectors]

    def _rows_of(
        self, column: str, values: Sequence[str], columns: Sequence[str], table: Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        table = table or self._table()
        for start in range(0, len(values), IDS_AT_ONCE):
            yield from table.rows(columns, where=one_of(column, values[start : start + IDS_AT_ONCE]))

    def _question(self, vector: ArrayLike) -> NDArray[np.float32]:
        try:
            question: NDArray[np.float64] = np.asarray(vector, np.float64)
        except (TypeError, ValueError) as error:
            raise BadItem(f"the vector searched for is no list of numbers: {error}") from error
        if question.shape != (self.dimension,):
            raise BadItem(
                f"the vector searched for has shape {question.shape}, expected ({self.dimension},) "
                f"for collection {self.name!r}; embed the question in the collection's space"
            )
        length = float(np.linalg.norm(question))
        if not np.isfinite(length) or length == 0.0:
            raise BadItem(f"the vector searched for has length {length}, expected a finite one above 0")
        return (question / length).astype(np.float32)
