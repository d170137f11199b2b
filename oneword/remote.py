"""A database behind a running service."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from oneword.database import Indexed, Target
from oneword.engine.catalog import describe
from oneword.indexer.options import JobConfig, Reading, SourceOptions, changed
from oneword.query.client.answers import StoredItem, Upserted
from oneword.query.client.client import Client
from oneword.query.client.errors import ClientError, NotThere, Rejected
from oneword.query.client.inputs import NewItem
from oneword.query.errors import BadQuery
from oneword.query.query import Parts, Query, Where
from oneword.query.result import SearchResult
from oneword.storage.importing import read_items
from oneword.storage.info import By, CollectionInfo, CollectionSummary, Copies, Imported, IndexCheck
from oneword.storage.item import Item
from oneword.storage.quarantine import QuarantinedInput
from oneword.storage.rows import Rows
from oneword.storage.versions import Version

if TYPE_CHECKING:
    from oneword.indexer.enriching import Enriched

POLL = 0.2
"""Seconds between two looks at a job, or at an index that is being built; up to ten times as many in a long one."""

SENT, SENT_NUMBERS = 500, 2**19
"""Most rows of an import, and most numbers of their vectors, in one request: at most 12 MB of JSON."""

TAKEN = ("http://", "https://", "s3://", "gs://", "urn:")
"""How URIs begin that a service takes; another of an import is put into a URN. query/server/entries.py, `_check`."""


class Remote:
    """See `oneword.database.Backend`."""

    def __init__(self, url: str, key: str | None) -> None:
        self.client = Client(url, key)

    def collections(self) -> list[CollectionSummary]:
        """See `Database.collections`."""
        return self.client.collections()

    def drop(self, name: str) -> None:
        """See `Database.drop`."""
        self.client.drop_collection(name)

    def search(self, to: Target, query: str | Query | None, parts: Parts) -> SearchResult:
        """See `Collection.search`."""
        return self.client.search(query, to.name, **parts)

    def search_batch(self, to: Target, queries: Sequence[str | Query]) -> list[SearchResult]:
        """See `Collection.search_batch`."""
        results = self.client.search_batch(queries, to.name)
        if failed := [one for one in results if isinstance(one, ClientError)]:
            raise failed[0]
        return [one for one in results if isinstance(one, SearchResult)]

    def index(self, to: Target, paths: Sequence[str], options: SourceOptions, config: JobConfig) -> Indexed:
        """See `Collection.index`. Starts a job, and waits for its end."""
        model = None if to.model == "auto" else to.model
        job = self.client.start_job(paths, to.name, model=model, view=to.view, options=changed(options, config))
        for _ in _looks():
            if (job := self.client.job(job.id)).is_over:
                break
        if job.state != "done":
            raise Rejected(
                f"job {job.id} of collection {to.name!r} ended as {job.state}: {job.message or 'no message'}"
            )
        return Indexed.of(job.counts)

    def enrich(self, to: Target, reading: Reading) -> "Enriched":  # noqa: ARG002 - a service reads as it is told to
        """See `Collection.enrich`."""
        raise BadQuery(f"collection {to.name!r} is behind a service: enrich it on that machine, by `oneword enrich`")

    def upsert(self, to: Target, items: Iterable[NewItem | Mapping[str, Any]]) -> Upserted:
        """See `Collection.upsert`."""
        given = list(items)
        try:
            return self.client.upsert(given, to.name)
        except NotThere:
            self.client.create_collection(to.name, model=None if to.model == "auto" else to.model, view=to.view)
            return self.client.upsert(given, to.name)

    def import_rows(self, to: Target, rows: Rows) -> Imported:
        """See `Collection.import_vectors`. Reads the rows here, and sends items; what is stored is not compared."""
        try:
            info = self.client.collection(to.name)
        except NotThere:
            info = self.client.create_collection(to.name, model=None if to.model == "auto" else to.model, view=to.view)
        named = describe(to.model)
        if to.model != "auto" and info.model not in (to.model, named.name if named else None):
            raise BadQuery(
                f"collection {to.name!r} holds vectors of model {info.model}, and these are of {to.model}; import them "
                "into another collection"
            )
        kinds: Any = info.metadata_keys
        added = updated = 0
        size = max(1, min(SENT, SENT_NUMBERS // info.dimension))
        for items in read_items(rows, info.space, kinds, to.name):
            for start in range(0, len(items), size):
                done = self.client.upsert(list(map(_new, items[start : start + size])), to.name)
                if refused := [one.error for one in done.items if one.error is not None]:
                    raise refused[0]
                added, updated = added + done.added, updated + done.updated
        return Imported(collection=to.name, added=added, updated=updated, unchanged=0)

    def get(self, to: Target, ids: Sequence[str], include: Sequence[str]) -> dict[str, StoredItem]:
        """See `Collection.get`."""
        return self.client.get(ids, to.name, include=include)

    def delete(self, to: Target, ids: Sequence[str] | None, where: Where | None) -> int:
        """See `Collection.delete`."""
        return self.client.delete(ids, where=where, collection=to.name)

    def count(self, to: Target, where: Where | None) -> int:
        """See `Collection.count`."""
        return self.client.count(where, to.name)

    def scroll(self, to: Target, where: Where | None, page: int, include: Sequence[str]) -> Iterator[StoredItem]:
        """See `Collection.scroll`."""
        return self.client.scroll(where, to.name, page=page, include=include)

    def build(self, to: Target) -> None:
        """See `Collection.build`. Begins a build, and waits for its end."""
        version = self.client.collection(to.name).version
        self.client.build(to.name)
        for _ in _looks():
            index = self.client.collection(to.name).index
            if index is not None and index["version"] >= version:
                return

    def verify(self, to: Target) -> IndexCheck | None:
        """See `Collection.verify`."""
        try:
            return self.client.verify(to.name)
        except Rejected as error:
            if error.code == "no_index":
                return None
            raise

    def duplicates(self, to: Target, by: By, threshold: float | None, limit: int) -> list[Copies]:
        """See `Collection.duplicates`."""
        return self.client.duplicates(to.name, by=by, threshold=threshold, limit=limit)

    def quarantine(self, to: Target, limit: int) -> list[QuarantinedInput]:
        """See `Collection.quarantine`."""
        return self.client.quarantine(to.name, limit)

    def versions(self, to: Target) -> list[Version]:
        """See `Collection.versions`."""
        return self.client.versions(to.name)

    def info(self, to: Target) -> CollectionInfo:
        """See `Collection.info`."""
        return self.client.collection(to.name)

    def close(self) -> None:
        """See `Database.close`."""
        self.client.close()


def _new(item: Item) -> NewItem:
    assert item.vector is not None  # of an import
    return NewItem(
        id=item.id,
        text=item.text,
        vector=item.vector.tolist(),
        uri=item.uri if item.uri.lower().startswith(TAKEN) else f"urn:oneword:uri:{quote(item.uri, safe='')}",
        metadata=item.metadata,
        modality=item.modality,
    )


def _looks() -> Iterator[None]:
    """Yields at the times to look, sooner at first."""
    wait = POLL
    while True:
        time.sleep(wait)
        yield
        wait = min(1.5 * wait, 10 * POLL)
