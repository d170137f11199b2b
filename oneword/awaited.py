"""A database and its collections, to be awaited: the methods of `oneword.database`, whose work is done in threads."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from oneword.database import Collection, Database, Indexed
from oneword.indexer.options import JobConfig, SourceOptions
from oneword.query.client.answers import StoredItem, Upserted
from oneword.query.client.inputs import NewItem
from oneword.query.query import Parts, Query, Where
from oneword.query.result import SearchResult
from oneword.storage.config import Format
from oneword.storage.info import By, CollectionInfo, CollectionSummary, Copies, Imported, IndexCheck
from oneword.storage.quarantine import QuarantinedInput
from oneword.storage.versions import Version

if TYPE_CHECKING:
    from oneword.indexer.enriching import Enriched


class AsyncCollection:
    """`Collection`, to be awaited: the work is done in threads. Args, returns and raises: as there."""

    def __init__(self, collection: Collection) -> None:
        self.sync = collection

    @property
    def name(self) -> str:
        """Its name."""
        return self.sync.name

    async def search(self, query: str | Query | None = None, **parts: Unpack[Parts]) -> SearchResult:
        """See `Collection.search`."""
        return await asyncio.to_thread(self.sync.search, query, **parts)

    async def search_batch(self, queries: Sequence[str | Query]) -> list[SearchResult]:
        """See `Collection.search_batch`."""
        return await asyncio.to_thread(self.sync.search_batch, queries)

    async def index(
        self,
        *paths: str | Path,
        options: SourceOptions = SourceOptions(),  # noqa: B008 - it is frozen
        config: JobConfig = JobConfig(),  # noqa: B008 - it is frozen
    ) -> Indexed:
        """See `Collection.index`."""
        return await asyncio.to_thread(self.sync.index, *paths, options=options, config=config)

    async def enrich(self, *, ocr: bool = False, decoders: int | None = None) -> "Enriched":
        """See `Collection.enrich`."""
        return await asyncio.to_thread(self.sync.enrich, ocr=ocr, decoders=decoders)

    async def upsert(self, items: Iterable[NewItem | Mapping[str, Any]]) -> Upserted:
        """See `Collection.upsert`."""
        return await asyncio.to_thread(self.sync.upsert, items)

    async def import_vectors(
        self,
        source: Any,
        *,
        format: Format = "auto",  # noqa: A002
        columns: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        modality: Literal["image", "text"] | None = None,
        beside: str | Path | None = None,
    ) -> Imported:
        """See `Collection.import_vectors`."""
        return await asyncio.to_thread(
            self.sync.import_vectors,
            source,
            format=format,
            columns=columns,
            without=without,
            modality=modality,
            beside=beside,
        )

    async def get(self, ids: str | Iterable[str], *, include: Sequence[str] = ("payload",)) -> dict[str, StoredItem]:
        """See `Collection.get`."""
        return await asyncio.to_thread(self.sync.get, ids, include=include)

    async def delete(self, ids: str | Iterable[str] | None = None, *, where: Where | None = None) -> int:
        """See `Collection.delete`."""
        return await asyncio.to_thread(self.sync.delete, ids, where=where)

    async def count(self, where: Where | None = None) -> int:
        """See `Collection.count`."""
        return await asyncio.to_thread(self.sync.count, where)

    async def scroll(
        self, where: Where | None = None, *, page: int = 100, include: Sequence[str] = ("payload",)
    ) -> AsyncIterator[StoredItem]:
        """See `Collection.scroll`."""
        items = self.sync.scroll(where, page=page, include=include)
        while (item := await asyncio.to_thread(next, items, None)) is not None:
            yield item

    async def build(self) -> None:
        """See `Collection.build`."""
        await asyncio.to_thread(self.sync.build)

    async def verify(self) -> IndexCheck | None:
        """See `Collection.verify`."""
        return await asyncio.to_thread(self.sync.verify)

    async def duplicates(self, by: By = "pixels", *, threshold: float | None = None, limit: int = 100) -> list[Copies]:
        """See `Collection.duplicates`."""
        return await asyncio.to_thread(self.sync.duplicates, by, threshold=threshold, limit=limit)

    async def quarantine(self, limit: int = 100) -> list[QuarantinedInput]:
        """See `Collection.quarantine`."""
        return await asyncio.to_thread(self.sync.quarantine, limit)

    async def versions(self) -> list[Version]:
        """See `Collection.versions`."""
        return await asyncio.to_thread(self.sync.versions)

    async def info(self) -> CollectionInfo:
        """See `Collection.info`."""
        return await asyncio.to_thread(self.sync.info)


class AsyncDatabase:
    """`Database`, to be awaited. Made by `oneword.connect_async`; close it, or use it in an `async with`."""

    def __init__(self, database: Database) -> None:
        self.sync = database

    def collection(self, name: str = "default", *, model: str = "auto", view: str | None = None) -> AsyncCollection:
        """See `Database.collection`."""
        return AsyncCollection(self.sync.collection(name, model=model, view=view))

    async def collections(self) -> list[CollectionSummary]:
        """See `Database.collections`."""
        return await asyncio.to_thread(self.sync.collections)

    async def drop(self, name: str) -> None:
        """See `Database.drop`."""
        await asyncio.to_thread(self.sync.drop, name)

    async def close(self) -> None:
        """See `Database.close`."""
        await asyncio.to_thread(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
