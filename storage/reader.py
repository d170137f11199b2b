"""The reading half of a collection."""

from __future__ import annotations

from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from storage import keywords, ranking
from storage.database import Database, Table
from storage.errors import BadItem, MissingKeywords
from storage.filters import Filter, parse
from storage.filters import compile as compile_filter
from storage.item import Hit, Item
from storage.schema import ITEM_COLUMNS, created_of, space_of, to_items, vectors_of
from storage.space import check_same
from storage.sql import all_of, none_of, one_of

if TYPE_CHECKING:
    from storage.serving.index import About
    from storage.serving.serving import Serving

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
        self._serving: Serving | None = None

    @property
    def dimension(self) -> int:
        """d: how many numbers a vector has."""
        return int(self.space["dimension"])

    @property
    def version(self) -> int:
        """The newest commit's number. It grows with every commit, and starts again if the collection is
        dropped and made again: `created` tells the two apart."""
        return self._table().version()

    def get(self, ids: Iterable[str], *, vectors: bool = False, thumbnails: bool = True) -> dict[str, Item]:
        """The items of those ids that exist, in the order asked; `vectors`: with float32 (d,) vectors."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Item] = {}
        for batch in self._rows_of("id", wanted, self._columns(vectors, thumbnails)):
            found |= {item.id: item for item in to_items(batch)}
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    def content_hashes(self, ids: Iterable[str]) -> dict[str, str]:
        """The content hashes of those ids that exist: to tell what is unchanged without reading it."""
        found: dict[str, str] = {}
        for batch in self._rows_of("id", list(dict.fromkeys(ids)), ["id", "content_hash"]):
            found.update(zip(batch["id"].to_pylist(), batch["content_hash"].to_pylist(), strict=True))
        return found

    def vectors_by_hash(self, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vector, float32 (d,), of each hash that some item has: equal content is embedded once."""
        found: dict[str, NDArray[np.float32]] = {}
        for batch in self._rows_of("content_hash", list(dict.fromkeys(hashes)), ["content_hash", "vector"]):
            found.update(zip(batch["content_hash"].to_pylist(), vectors_of(batch).astype(np.float32), strict=True))
        return found

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

    def scan_vectors(self, *, batch_size: int = 4096) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The ids (n) and vectors float32 (n, d) of one version, in batches: to derive an index from."""
        for batch in self._table().rows(["id", "vector"], batch_size=batch_size):
            if batch.num_rows:
                yield batch["id"].to_pylist(), vectors_of(batch).astype(np.float32)

    def search(
        self,
        vector: ArrayLike,
        *,
        limit: int = 10,
        offset: int = 0,
        filter: Filter | str | None = None,  # noqa: A002
        min_score: float | None = None,
        exclude_ids: Sized[str] = (),
        exclude_image_hashes: Sized[str] = (),
        exact: bool = False,
        thumbnails: bool = True,
    ) -> list[Hit]:
        """The items nearest to `vector` (d,) of any length but 0: by cosine, highest first, equal ones by id.

        The order does not depend on limit or offset, so pages have no repeats and no holes while nothing
        is written. min_score: leave out lower ones. The serving index answers if one was built, with what was
        written since; exact=True compares every vector in the table instead.

        Raises:
            BadItem: the vector has another dimension, is not finite or is all zeros.
            ValueError: limit or offset is negative.
        """
        if limit < 0 or offset < 0:
            raise ValueError(f"limit {limit} and offset {offset} must be 0 or more")
        question = self._question(vector)
        if limit == 0:
            return []
        table, count = self._table(), offset + limit
        ranked = None if exact else self._served(question, count, filter, min_score, exclude_ids, exclude_image_hashes)
        if ranked is None:
            where = all_of(
                [
                    self._where(filter),
                    none_of("id", exclude_ids) if exclude_ids else None,
                    none_of("image_hash", exclude_image_hashes) if exclude_image_hashes else None,
                ]
            )
            ranked = ranking.nearest(table, question, count=count, where=where, floor=min_score)
        page = [(score, item_id) for score, item_id in ranked[offset:] if min_score is None or score >= min_score]
        items = self.get((item_id for _, item_id in page), thumbnails=thumbnails)
        # An item deleted between the two reads is gone, and rightly not among the hits.
        return [Hit(item=items[item_id], score=score) for score, item_id in page if item_id in items]

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
            MissingKeywords: there is no keyword index at that version, or no such version is kept.
        """
        table = self._table()
        if version is not None:
            pinned = self._database.open_at(self.name, version)
            if pinned is None:
                raise MissingKeywords(self.name)
            check_same(self.name, space_of(pinned.schema()), self.space)
            table = pinned
        if filter is None:
            return keywords.search(table, words, count=count)
        condition = parse(filter) if isinstance(filter, str) else filter
        return keywords.search(table, words, count=count, where=compile_filter(condition, table.schema()))

    def serving(self) -> Serving | None:
        """The serving index's keeper, or None where FAISS is not installed."""
        if self._serving is None and find_spec("faiss") is not None:
            from storage.serving.serving import Serving

            self._serving = Serving(self._table(), self._database.location.serving_folder(self.name))
        return self._serving

    def served_by(self) -> About | None:
        """What answers `search`: the serving index, or None if it is the table itself."""
        serving = self.serving()
        return serving.about(self.created.isoformat()) if serving else None

    def _served(
        self,
        question: NDArray[np.float32],
        count: int,
        condition: Filter | str | None,
        floor: float | None,
        exclude_ids: Sized[str],
        exclude_image_hashes: Sized[str],
    ) -> list[ranking.Ranked] | None:
        serving = self.serving()
        if serving is None or self.served_by() is None:
            return None
        without = set(exclude_ids)
        if exclude_image_hashes:
            for batch in self._rows_of("image_hash", list(exclude_image_hashes), ["id"]):
                without |= set(batch["id"].to_pylist())
        return serving.search(
            question,
            created=self.created.isoformat(),
            count=count,
            where=self._where(condition),
            floor=floor,
            without=frozenset(without),
        )

    def schema(self) -> pa.Schema:
        """The table's Arrow schema now: what `storage.filters.compile` takes."""
        return self._table().schema()

    def _table(self) -> Table:
        """The table, known to be still of this space: it may have been dropped and made again meanwhile."""
        check_same(self.name, space_of(self._kept.schema()), self.space)
        return self._kept

    def _where(self, condition: Filter | str | None) -> str | None:
        if condition is None:
            return None
        return compile_filter(parse(condition) if isinstance(condition, str) else condition, self.schema())

    def _columns(self, vectors: bool, thumbnails: bool) -> list[str]:
        return [*ITEM_COLUMNS, *["thumbnail"] * thumbnails, *["vector"] * vectors]

    def _rows_of(self, column: str, values: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        table = self._table()
        for start in range(0, len(values), IDS_AT_ONCE):
            yield from table.rows(columns, where=one_of(column, values[start : start + IDS_AT_ONCE]))

    def _question(self, vector: ArrayLike) -> NDArray[np.float32]:
        question: NDArray[np.float64] = np.asarray(vector, np.float64)
        if question.shape != (self.dimension,):
            raise BadItem(
                f"the vector searched for has shape {question.shape}, expected ({self.dimension},) "
                f"for collection {self.name!r}; embed the question in the collection's space"
            )
        length = float(np.linalg.norm(question))
        if not np.isfinite(length) or length == 0.0:
            raise BadItem(f"the vector searched for has length {length}, expected a finite one above 0")
        return (question / length).astype(np.float32)
