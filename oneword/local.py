"""A database on this machine, or in an object store."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from oneword import engine
from oneword.database import Indexed, Target
from oneword.engine.config import EngineConfig
from oneword.engine.decoded import decode_image, thumbnail
from oneword.engine.encoder import Encoder
from oneword.engine.encoding import embed
from oneword.engine.errors import InputError
from oneword.engine.models import load
from oneword.engine.views import DEFAULT
from oneword.engine.views import get as get_view
from oneword.indexer.enriching import Enriched, enrich
from oneword.indexer.index import index_paths
from oneword.indexer.options import JobConfig, Reading, SourceOptions
from oneword.query.client.answers import Outcome, StoredItem, Upserted
from oneword.query.client.errors import ClientError, Rejected
from oneword.query.client.inputs import NewItem
from oneword.query.errors import BadQuery, QueryError
from oneword.query.items import content_of, item_of, unit
from oneword.query.query import ImageSource, Parts, Query, Where
from oneword.query.reranking import Rerankers
from oneword.query.result import SearchResult, plain
from oneword.query.service import SearchService
from oneword.storage import Collection, CollectionNotFound, Filter, Item, MissingFaiss, Store, parse_filter
from oneword.storage.importing import import_rows
from oneword.storage.info import By, CollectionInfo, CollectionSummary, Copies, Imported, IndexCheck
from oneword.storage.quarantine import QuarantinedInput
from oneword.storage.rows import Rows
from oneword.storage.versions import Version


class Local:
    """See `oneword.database.Backend`. For any number of threads."""

    def __init__(self, db: str, key: str | None) -> None:
        if key is not None:
            raise BadQuery(f"{db!r} is not a service: expected no key, or a URL (http://host:8000)")
        self.store = Store(str(Path(db).expanduser()) if "://" not in db else db)
        self._services: dict[tuple[str, str], SearchService] = {}
        self._rerankers = Rerankers(EngineConfig())
        self._lock = threading.Lock()

    def collections(self) -> list[CollectionSummary]:
        """See `Database.collections`."""
        return [self.store.open(name).summary() for name in self.store.collections()]

    def drop(self, name: str) -> None:
        """See `Database.drop`."""
        self.store.drop(name)

    def search(self, to: Target, query: str | Query | None, parts: Parts) -> SearchResult:
        """See `Collection.search`."""
        return self._service(to).search(query, **parts)

    def search_batch(self, to: Target, queries: Sequence[str | Query]) -> list[SearchResult]:
        """See `Collection.search_batch`."""
        return self._service(to).search_batch(queries)

    def index(self, to: Target, paths: Sequence[str], options: SourceOptions, config: JobConfig) -> Indexed:
        """See `Collection.index`."""
        try:
            encoder: str | Encoder = self._service(to).encoder  # loaded once
        except CollectionNotFound:
            encoder = to.model
        report = index_paths(
            [path if "://" in path else str(Path(path).expanduser()) for path in paths],
            db=self.store.uri,
            collection=to.name,
            model=encoder,
            view=to.view,
            options=options,
            config=config,
        )
        return Indexed.of(report.counts())

    def enrich(self, to: Target, reading: Reading) -> Enriched:
        """See `Collection.enrich`."""
        return enrich(to.name, db=self.store.uri, reading=reading)

    def upsert(self, to: Target, items: Iterable[NewItem | Mapping[str, Any]]) -> Upserted:
        """See `Collection.upsert`."""
        given = [NewItem.of(one) for one in items]
        service = self._made(to)
        made, shortened = self._items(service, given)
        good = [one for one in made if isinstance(one, Item)]
        refused = service.collection.check(good)
        kept = [one for one in good if one.id not in refused]
        before = set(service.collection.get([one.id for one in kept], thumbnails=False))
        outcomes = [
            _outcome(item, one, refused, before, place in shortened)
            for place, (item, one) in enumerate(zip(given, made, strict=True))
        ]
        if not kept:
            raise next((one.error for one in outcomes if one.error), BadQuery("no items: expected at least one"))
        service.collection.upsert(kept)
        counts = {status: sum(one.status == status for one in outcomes) for status in ("added", "updated", "refused")}
        counts["shortened"] = sum(one.shortened for one in outcomes)
        return Upserted(items=tuple(outcomes), version=service.collection.version, **counts)

    def import_rows(self, to: Target, rows: Rows) -> Imported:
        """See `Collection.import_vectors`. A model that is named is the rows'; else they are of the collection's."""
        space = None if to.model == "auto" else _space(to)
        return import_rows(self.store, rows, to.name, space)

    def get(self, to: Target, ids: Sequence[str], include: Sequence[str]) -> dict[str, StoredItem]:
        """See `Collection.get`."""
        found = self._open(to).get(ids, vectors="vector" in include, thumbnails="thumbnail" in include)
        return {id_: _stored(item, include) for id_, item in found.items()}

    def delete(self, to: Target, ids: Sequence[str] | None, where: Where | None) -> int:
        """See `Collection.delete`."""
        if (ids is None) == (where is None):
            raise BadQuery("expected either ids or a filter")
        collection = self._open(to)
        return collection.delete(ids) if ids is not None else collection.delete_where(_condition(where))

    def count(self, to: Target, where: Where | None) -> int:
        """See `Collection.count`."""
        return self._open(to).count(_filter(where))

    def scroll(self, to: Target, where: Where | None, page: int, include: Sequence[str]) -> Iterator[StoredItem]:
        """See `Collection.scroll`."""
        collection, condition, offset, version = self._open(to), _filter(where), 0, None
        while True:
            items, version = collection.page(
                offset=offset,
                limit=page,
                filter=condition,
                vectors="vector" in include,
                thumbnails="thumbnail" in include,
                version=version,
            )
            yield from (_stored(item, include) for item in items)
            if len(items) < page:
                return
            offset += page

    def build(self, to: Target) -> None:
        """See `Collection.build`."""
        service = self._service(to)
        if service.collection.index_keeper() is None:
            raise MissingFaiss(to.name)
        service.collection.build_index(unrelated=service.unrelated)

    def verify(self, to: Target) -> IndexCheck | None:
        """See `Collection.verify`."""
        return self._open(to).verify()

    def duplicates(self, to: Target, by: By, threshold: float | None, limit: int) -> list[Copies]:
        """See `Collection.duplicates`."""
        return self._open(to).duplicates(by, threshold)[:limit]

    def quarantine(self, to: Target, limit: int) -> list[QuarantinedInput]:
        """See `Collection.quarantine`."""
        return [*self.store.quarantine(to.name).list()[:limit]]

    def versions(self, to: Target) -> list[Version]:
        """See `Collection.versions`."""
        return self._open(to).versions()

    def info(self, to: Target) -> CollectionInfo:
        """See `Collection.info`."""
        return self._open(to).info()

    def close(self) -> None:
        """See `Database.close`."""
        self._services.clear()

    def _open(self, to: Target) -> Collection:
        return self._service(to).collection

    def _service(self, to: Target) -> SearchService:
        """The collection with its model, which stays loaded. Raises CollectionNotFound."""
        collection = self.store.open(to.name)
        key = (to.name, f"{collection.space['fingerprint']} {collection.snapshot().created}")
        with self._lock:
            if key not in self._services:
                self._services[key] = SearchService.of(collection, EngineConfig(model=to.model), load, self._rerankers)
            return self._services[key]

    def _made(self, to: Target) -> SearchService:
        try:
            return self._service(to)
        except CollectionNotFound:
            self.store.open_or_create(to.name, _space(to))
            return self._service(to)

    def _items(self, service: SearchService, given: Sequence[NewItem]) -> tuple[list[Item | Exception], set[int]]:
        """Items with vectors, embedded together, or why they cannot be stored; and places of texts that were cut."""
        found: dict[int, Item | Exception] = {}
        contents: dict[int, engine.Input] = {}
        read: dict[int, tuple[engine.Image | None, bytes | None]] = {}
        for place, one in enumerate(given):
            try:
                read[place] = _read(one.image)
                content = content_of(one, read[place][0])
                if one.vector is None and content is None:
                    raise BadQuery("has no text, no image and no vector: expected one of them")
                if one.vector is None and content is not None:
                    contents[place] = content
                else:
                    vector = unit(one.vector or [], service.collection.dimension)
                    found[place] = item_of(one, content, *read[place], vector)
            except (InputError, QueryError) as error:
                found[place] = error
        shortened = set[int]()
        if contents:
            fitted = {place: service.splitter.fitted(content) for place, content in contents.items()}
            shortened = {place for place, content in contents.items() if fitted[place] is not content}
            vectors, failed = embed(fitted, service.encoder, service.view)
            found |= failed
            for place, vector_ in vectors.items():
                found[place] = item_of(given[place], contents[place], *read[place], vector_)
        return [found[place] for place in range(len(given))], shortened


def _space(to: Target) -> dict[str, Any]:
    """The space of a target's model and view."""
    return load(EngineConfig(model=to.model)).space(get_view(to.view) if to.view else DEFAULT).as_dict()


def _read(image: ImageSource | None) -> tuple[engine.Image | None, bytes | None]:
    """An image with its thumbnail."""
    if image is None:
        return None, None
    if isinstance(image, PIL.Image.Image):
        decoded = engine.Image(pixels=image)
        return decoded, thumbnail(decoded.pixels)
    if isinstance(image, bytes):
        data, name = image, "the image"
    else:
        path = Path(image).expanduser()
        try:
            data, name = path.read_bytes(), str(path)
        except OSError as error:
            raise engine.errors.UnreadableFile(f"{path}: cannot be read: {error.strerror}") from error
    result = decode_image(data, name)
    return result.image, result.thumbnail


def _outcome(
    given: NewItem, made: Item | Exception, refused: Mapping[str, str], before: set[str], shortened: bool
) -> Outcome:
    if isinstance(made, Item) and made.id in refused:
        made = Rejected(refused[made.id])
    if isinstance(made, Exception):
        error = made if isinstance(made, ClientError) else Rejected(str(made))
        return Outcome(id=given.id, status="refused", error=error)
    known = made.id in before
    before.add(made.id)
    return Outcome(id=made.id, status="updated" if known else "added", shortened=shortened)


def _stored(item: Item, include: Sequence[str]) -> StoredItem:
    payload: dict[str, Any] = {}
    if "payload" in include:
        metadata = plain({key: value for key, value in item.metadata.items() if not key.startswith("_")})
        payload = {"uri": item.uri, "text": item.text, "image_text": item.image_text, "metadata": metadata}
    return StoredItem(id=item.id, modality=item.modality, vector=item.vector, thumbnail=item.thumbnail, **payload)


def _filter(where: Where | None) -> Filter | None:
    return None if where is None else parse_filter(where)


def _condition(where: Where | None) -> Filter:
    condition = _filter(where)
    assert condition is not None
    return condition
