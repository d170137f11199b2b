"""The reading half of a collection."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oneword.storage import ranking, text_index
from oneword.storage.confidence import Scale
from oneword.storage.database import Database
from oneword.storage.errors import BadItem, BadSearch, StorageError, StoreUnavailable, VersionNotFound
from oneword.storage.filters import Filter, parse_filter
from oneword.storage.filters import compile as compile_filter
from oneword.storage.info import By, Copies
from oneword.storage.item import Item
from oneword.storage.schema import (
    IMAGE_WORDS,
    check_same,
    created_of,
    item_columns,
    metadata_kinds,
    space_of,
    to_items,
    vectors_of,
)
from oneword.storage.search import Hits, HybridRanking, KeywordRanking, Options, SearchOptions, check_field, page
from oneword.storage.snapshot import Snapshot, Snapshots
from oneword.storage.table import Table

if TYPE_CHECKING:
    from oneword.storage.ann.files import IndexInfo
    from oneword.storage.ann.keeper import IndexKeeper

Queries = Sequence[NDArray[np.float32] | None]


class CollectionReader:
    """Finds and reads items. Safe for any number of threads and processes; writes nothing.

    Every call sees every commit made before it, also by other processes. Every method that takes a `filter` takes a
    Filter or its text, and raises FilterError for one that does not fit. Every method that takes a `version` reads the
    newest one by default, and raises VersionNotFound for one that does not exist (any more). Every method raises
    CollectionNotFound once the collection has been dropped, SpaceMismatch once it has been created again with another
    space, and StoreUnavailable if the store fails.
    """

    def __init__(self, database: Database, table: Table) -> None:
        schema = table.schema()
        self.name = table.name
        self.uri = database.location.uri
        self.space: dict[str, Any] = space_of(schema)
        self.created = created_of(schema)
        self._database, self._newest = database, table
        self._snapshots = Snapshots(database, table.name, self.space)
        self._mutex = threading.Lock()
        self._keeper: IndexKeeper | None = None

    @property
    def dimension(self) -> int:
        """d: numbers in a vector."""
        return int(self.space["dimension"])

    @property
    def version(self) -> int:
        """The number of the newest commit. It grows with every commit, and starts at 1 again if the collection is
        dropped and created again; `created` tells the two apart."""
        return self.snapshot().version

    def get(
        self,
        ids: Iterable[str],
        *,
        vectors: bool = False,
        thumbnails: bool = True,
        words: bool = False,
        version: int | None = None,
    ) -> dict[str, Item]:
        """The items of those ids that exist, in the given order.

        vectors: with float32 (d,) vectors. words: with the words that images show.
        """
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Item] = {}
        schema = self.schema() if version is None else self.snapshot(version).schema
        for batch in self._at(version).rows_of("id", wanted, _columns(schema, vectors, thumbnails, words)):
            found |= {item.id: item for item in to_items(batch)}
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    def content_hashes(self, ids: Iterable[str], *, version: int | None = None) -> dict[str, str]:
        """The content hashes of those ids that exist."""
        found: dict[str, str] = {}
        for batch in self._at(version).rows_of("id", ids, ["id", "content_hash"]):
            found.update(zip(batch["id"].to_pylist(), batch["content_hash"].to_pylist(), strict=True))
        return found

    def vectors_by_hash(self, hashes: Iterable[str], *, version: int | None = None) -> dict[str, NDArray[np.float32]]:
        """The vector, float32 (d,), of each content hash that an item has: equal content is embedded once."""
        found: dict[str, NDArray[np.float32]] = {}
        for batch in self._at(version).rows_of("content_hash", hashes, ["content_hash", "vector"]):
            found.update(zip(batch["content_hash"].to_pylist(), vectors_of(batch).astype(np.float32), strict=True))
        return found

    def ids(self, *, batch_size: int = 4096, version: int | None = None) -> Iterator[list[str]]:
        """The id of every item of one version, in batches and in no particular order."""
        for batch in self._at(version).rows(["id"], batch_size=batch_size):
            if batch.num_rows:
                yield batch["id"].to_pylist()

    def count(self, filter: Filter | str | None = None) -> int:  # noqa: A002
        """Number of items, or of those that pass the filter."""
        return self._table().count(self._where(filter))

    def scan(
        self,
        *,
        filter: Filter | str | None = None,  # noqa: A002
        vectors: bool = False,
        thumbnails: bool = True,
        batch_size: int = 1024,
    ) -> Iterator[list[Item]]:
        """Every item, or those that pass the filter, of one version, in batches and in no particular order."""
        columns, where = _columns(self.schema(), vectors, thumbnails), self._where(filter)
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
        """Some of the items of one version, or of those that pass the filter, and the version.

        Consecutive pages of one version and filter have every item once.
        """
        snapshot = self.snapshot(version)
        if limit < 1:  # which LanceDB takes for no limit
            return [], snapshot.version
        batches = snapshot.table.page(
            _columns(snapshot.schema, vectors, thumbnails), where=snapshot.where(filter), offset=offset, limit=limit
        )
        return [item for batch in batches for item in to_items(batch)], snapshot.version

    def search(self, vector: ArrayLike | None = None, **options: Unpack[Options]) -> Hits:
        """The items nearest to `vector` (d,) of any length but 0: by cosine, highest first, ties by id.

        With `keywords`, fused with the items that have those words; without a vector, those alone. The ANN index is
        used if there is one.

        options: the fields of `SearchOptions`.

        Raises:
            MissingKeywords: `keywords` are given, and that version has no keyword index.
            BadItem: the vector has another dimension, is not finite or is all zeros.
            BadSearch: an option is out of range.
        """
        return self.search_batch([vector], **options)[0]

    def search_batch(self, vectors: Iterable[ArrayLike | None], **options: Unpack[Options]) -> list[Hits]:
        """`search` for each vector, all in one version; faster than one by one."""
        request = SearchOptions(**options)
        queries = [None if vector is None else self._query(vector) for vector in vectors]
        if request.keywords is None and any(query is None for query in queries):
            raise BadSearch("a search without a vector and without keywords: expected one of them")
        try:
            return self._pages(queries, request)
        except (StoreUnavailable, VersionNotFound):
            # A writer may have removed the version that was being read, once there was a newer one.
            if request.version is not None:
                self.snapshot()  # raises if another collection has the name
                self._database.open(self.name, request.version)  # raises if it is gone
                raise
            if self._snapshots.current:
                raise
        return self._pages(queries, request)

    def keywords(
        self,
        words: str,
        *,
        count: int,
        filter: Filter | str | None = None,  # noqa: A002
        version: int | None = None,
    ) -> list[ranking.Ranked]:
        """The `count` items whose text has any of the words, as (BM25, id): highest first, ties by id.

        Raises:
            MissingKeywords: that version has no keyword index.
        """
        snapshot = self.snapshot(version)
        return text_index.search(snapshot.table, words, count=count, where=snapshot.where(filter))

    def index_keeper(self) -> IndexKeeper | None:
        """The keeper of the ANN index, or None if FAISS is not installed."""
        with self._mutex:
            if self._keeper is None and find_spec("faiss") is not None:
                from oneword.storage.ann.keeper import IndexKeeper

                self._keeper = IndexKeeper(self._database.location.ann_folder(self.name), self._database.config)
            return self._keeper

    def index_info(self) -> IndexInfo | None:
        """The ANN index that searches use, or None if they use the table."""
        keeper = self.index_keeper()
        return keeper.info(self.snapshot()) if keeper else None

    def snapshot(self, version: int | None = None) -> Snapshot:
        """The table at a version."""
        return self._snapshots.newest() if version is None else self._snapshots.at(version)

    def duplicates(self, by: By = "pixels", threshold: float | None = None) -> list[Copies]:
        """Groups of exact and near copies among the images; see `oneword.storage.duplicates.duplicates`."""
        from oneword.storage.duplicates import duplicates

        return duplicates(self.snapshot().table, by, threshold)

    def schema(self) -> pa.Schema:
        """The table's current Arrow schema: what `oneword.storage.filters.compile` takes."""
        return self._table().schema()

    def _pages(self, queries: Queries, options: SearchOptions) -> list[Hits]:
        snapshot = self.snapshot(options.version)
        if options.group_by is not None:
            check_field(options.group_by, list(metadata_kinds(snapshot.schema)))
        try:
            rankings, scale = self._rankings(snapshot, queries, options), self._scale(snapshot, options)
            pages = [page(one, options, snapshot.version, scale) for one in rankings]
        except StorageError:
            raise
        except Exception as error:  # a reader of a damaged index may raise anything
            keeper = None if options.exact else self.index_keeper()
            if keeper is None:
                raise
            keeper.distrust(None, error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
            options = replace(options, exact=True)
            rankings, scale = self._rankings(snapshot, queries, options), self._scale(snapshot, options)
            pages = [page(one, options, snapshot.version, scale) for one in rankings]
        return [_with_thumbnails(hits, snapshot.table) for hits in pages] if options.thumbnails else pages

    def _scale(self, snapshot: Snapshot, options: SearchOptions) -> Scale | None:
        """What scores mean for this search; None: not known.

        Raises:
            BadSearch: it must be known.
        """
        asked = None if options.keywords else options.asked
        keeper = self.index_keeper() if asked else None
        known = keeper.confidence(snapshot) if keeper else None
        scale = known.scales.get(asked) if known and asked else None
        if scale is None and options.min_confidence is not None:
            reason = (
                f"the confidence of hits by {asked} is not known in {self.name!r} yet; measure it: oneword build"
                if asked
                else "hits have a confidence by texts alone or by images alone; use min_score for other queries"
            )
            raise BadSearch(f"min_confidence {options.min_confidence:g}: {reason}")
        return scale

    def _rankings(self, snapshot: Snapshot, queries: Queries, options: SearchOptions) -> Sequence[ranking.Ranking]:
        where = snapshot.where(options.filter)
        given = [query for query in queries if query is not None]
        nearest = iter(self._nearest(snapshot, given, where, options))
        if options.keywords is None:
            return list(nearest)
        words = KeywordRanking(
            table=snapshot.table,
            columns=snapshot.columns,
            where=where,
            depths=(options.reach,),
            words=options.keywords,
        )
        return [
            words if query is None else HybridRanking(next(nearest), words, options.fusion, options.keyword_weight)
            for query in queries
        ]

    def _nearest(
        self, snapshot: Snapshot, queries: Sequence[NDArray[np.float32]], where: str | None, options: SearchOptions
    ) -> Sequence[ranking.Ranking]:
        keeper = None if options.exact or not queries else self.index_keeper()
        approximate = keeper.rankings(snapshot, queries, where) if keeper else None
        if approximate is not None:
            return approximate
        floor = None if options.keywords else options.min_score
        return [
            ranking.ExactRanking(
                table=snapshot.table,
                columns=snapshot.columns,
                where=where,
                depths=(options.reach,),
                query=query,
                floor=floor,
            )
            for query in queries
        ]

    def _table(self) -> Table:
        """The newest version of the table, which must still be of this space."""
        check_same(self.name, space_of(self._newest.schema()), self.space)
        return self._newest

    def _at(self, version: int | None) -> Table:
        return self._table() if version is None else self.snapshot(version).table

    def _where(self, condition: Filter | str | None) -> str | None:
        if condition is None:
            return None
        return compile_filter(parse_filter(condition), self.schema())

    def _query(self, vector: ArrayLike) -> NDArray[np.float32]:
        try:
            query: NDArray[np.float64] = np.asarray(vector, np.float64)
        except (TypeError, ValueError) as error:
            raise BadItem(f"the vector searched for is not a list of numbers: {error}") from error
        if query.shape != (self.dimension,):
            raise BadItem(
                f"the vector searched for has shape {query.shape}, expected ({self.dimension},) "
                f"for collection {self.name!r}; embed the query in the collection's space"
            )
        length = math.sqrt(query.dot(query))
        if not math.isfinite(length) or length == 0.0:
            raise BadItem(f"the vector searched for has length {length}, expected a finite one above 0")
        return (query / length).astype(np.float32)


def _columns(schema: pa.Schema, vectors: bool, thumbnails: bool, words: bool = False) -> list[str]:
    more = ["thumbnail"] * thumbnails + ["vector"] * vectors + [IMAGE_WORDS] * (words and IMAGE_WORDS in schema.names)
    return item_columns(schema) + more


def _with_thumbnails(hits: Hits, table: Table) -> Hits:
    found: dict[str, bytes] = {}
    for batch in table.rows_of("id", [hit.item.id for hit in hits], ["id", "thumbnail"]):
        found.update(zip(batch["id"].to_pylist(), batch["thumbnail"].to_pylist(), strict=True))
    with_them = (replace(hit, item=replace(hit.item, thumbnail=found.get(hit.item.id))) for hit in hits)
    return Hits(with_them, version=hits.version, total=hits.total)
