"""The search service: a query object in, hits out. Knows nothing of terminals or HTTP."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, Unpack

from oneword.engine.chunks import Splitter
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder, Side
from oneword.engine.encoding import encode
from oneword.engine.models import load
from oneword.engine.unrelated import unrelated
from oneword.engine.views import View
from oneword.engine.views import get as get_view
from oneword.engine.words import Word
from oneword.query.errors import BadQuery
from oneword.query.explanation import Explanation, ItemWords, explain
from oneword.query.matching import tokens
from oneword.query.mixing import PreparedQuery, Vectors
from oneword.query.query import MAX_WORDS, Like, Parts, Query, Vector, options
from oneword.query.reranking import Rerankers
from oneword.query.result import Hit, Reranked, SearchResult
from oneword.storage import And, Collection, Filter, Item, ItemNotFound, Match, SpaceMismatch, StorageConfig, Store
from oneword.storage.schema import check_same
from oneword.storage.search import Hits, SearchOptions

STORED = {one.name for one in options()} & {one.name for one in fields(SearchOptions)}
"""Options that the store gives their meaning; the others are given it here."""


class SearchService:
    """Answers queries over one collection.

    The model is loaded at the first query that needs one: a query by stored items or vectors needs none.

    Args:
        db: a folder, or an object-store URI.
        collection: its name.
        model: a name or a whole configuration; "auto" is the model that the collection was indexed with.
        storage: how the ANN index is held.

    Raises:
        CollectionNotFound, StoreUnavailable: nothing to search.
    """

    def __init__(
        self,
        db: str = ".oneword",
        collection: str = "default",
        model: str | EngineConfig = "auto",
        *,
        storage: StorageConfig = StorageConfig(),  # noqa: B008 - it is frozen
    ) -> None:
        self._open(Store(db, config=storage).open(collection), EngineConfig.of(model), None)

    @classmethod
    def of(
        cls,
        collection: Collection,
        model: EngineConfig,
        loader: Callable[[EngineConfig], Encoder],
        rerankers: Rerankers | None = None,
    ) -> "SearchService":
        """Over a collection that is open already, with models from a loader of one's own, and shared rerankers."""
        service = cls.__new__(cls)
        service._open(collection, model, loader, rerankers)
        return service

    def _open(
        self,
        collection: Collection,
        model: EngineConfig,
        loader: Callable[[EngineConfig], Encoder] | None,
        rerankers: Rerankers | None = None,
    ) -> None:
        self.collection = collection
        self._space: dict[str, Any] = collection.space
        self._config = model
        self._loader = loader
        self.rerankers = rerankers or Rerankers(model)
        if "prompts" not in self._space:
            raise BadQuery(f"collection {collection.name!r} was made without a model: no query can be embedded")
        self.view = View.from_dict(self._space["prompts"])

    def search(self, query: str | Query | None = None, **parts: Unpack[Parts]) -> SearchResult:
        """Nearest neighbors of a query, best first.

        Args:
            query: words, or a whole `Query`.
            **parts: instead of a `Query`, what `Query.of` takes.

        Raises:
            BadQuery: nothing asked, parts that cancel out, or a vector of another dimension.
            InputError: an image or text in the query cannot be read.
            ItemNotFound: no such item to be like.
            FilterError: the filter names unknown fields.
            SpaceMismatch: another model or view than the collection's.
            NoWords: an explanation is asked for, and the model has no words.
            ModelError: the reranker cannot be loaded.
            BadSearch, MissingKeywords, VersionNotFound: as `storage.Collection.search`.
        """
        return self.search_batch([self._checked(query, parts)])[0]

    def search_batch(self, queries: Sequence[str | Query]) -> list[SearchResult]:
        """Answers several queries, whose texts and images are embedded together.

        Raises:
            As `search`; then none is answered.
        """
        checked = [self._checked(query, {}) for query in queries]
        if any(query.explain or any(not isinstance(part, Like | Vector) for part in query.parts) for query in checked):
            _ = self.encoder  # loading it is not part of encoding a query
        started = time.perf_counter()
        prepared = [self._read(PreparedQuery.of(query)) for query in checked]
        embedded = self._embedded(prepared)
        encode_ms = 1000 * (time.perf_counter() - started)
        return [self.answer(*one, encode_ms=encode_ms) for one in zip(prepared, embedded, strict=True)]

    def answer(
        self, prepared: PreparedQuery, embedded: Mapping[int, Vectors], *, encode_ms: float = 0.0
    ) -> SearchResult:
        """Answers a query whose inputs are embedded.

        Args:
            embedded: unit vectors, float32 (d,), of the collection's space, by the place of their part.
            encode_ms: what that took, for the result.

        Raises:
            As `search`.
        """
        query = prepared.query
        if query.rerank is not None:
            self.rerankers.get(query.rerank)  # loading it is not part of the search
        started = time.perf_counter()
        self.check_view(query.view)
        liked = self._liked(prepared)
        vector = self._vector(prepared, embedded, liked)
        options = {name: getattr(query, name) for name in STORED} | {
            "asked": prepared.asked(liked),
            "filter": _filter(query),
            "exclude_ids": prepared.liked,
            "exclude_image_hashes": prepared.edited,
            "thumbnails": "thumbnail" in query.include,
        }
        reranked: Reranked | None = None
        if query.rerank is not None and query.offset < query.rerank_depth:
            hits, found, reranked = self._reranked(prepared, vector, options)
        else:
            found = self.collection.search(vector, **options)
            keywords = tokens(query.keywords or "")
            hits = tuple(Hit.of(hit, keywords) for hit in found)
        if "vector" in query.include:
            stored = self._stored([hit.id for hit in hits], found.version)
            hits = tuple(replace(hit, vector=stored[hit.id].vector) for hit in hits)
        search_ms = 1000 * (time.perf_counter() - started)
        words: tuple[Word, ...] = ()
        if query.explain:
            words, explained = self._explained(vector, [hit.id for hit in hits], query.explain, found.version)
            hits = tuple(
                replace(hit, words=one.words, shared=one.shared) for hit, one in zip(hits, explained, strict=True)
            )
        cut = (query.min_score, query.min_confidence, query.group_by, query.fold_copies)
        partial = any(one is not None for one in cut)
        return SearchResult(
            hits=hits,
            total=None if partial else found.total,
            version=found.version,
            encode_ms=encode_ms,
            search_ms=search_ms,
            model=self._space["model"],
            collection=self.collection.name,
            words=words,
            shortened=prepared.shortened,
            reranked=reranked,
        )

    def _reranked(
        self, prepared: PreparedQuery, vector: Vectors | None, options: Mapping[str, Any]
    ) -> tuple[tuple[Hit, ...], Hits, Reranked]:
        """A page of the ranking whose best hits are judged again; they are the same for every page."""
        query = prepared.query
        keywords = tokens(query.keywords or "")
        judge = self.rerankers.get(query.rerank or "")
        best = {**options, "offset": 0, "limit": query.rerank_depth}
        found = self.collection.search(vector, **best | {"thumbnails": options["thumbnails"] or judge.reranker.sees})
        hits, report = judge.rerank(
            prepared, [Hit.of(hit, keywords) for hit in found], min(query.rerank_seconds, self.rerankers.most)
        )
        if not options["thumbnails"]:
            hits = tuple(replace(hit, thumbnail=None) for hit in hits)
        page = hits[query.offset : query.offset + query.limit]
        if (left := query.offset + query.limit - query.rerank_depth) > 0 and len(hits) == query.rerank_depth:
            further = {**options, "offset": query.rerank_depth, "limit": left, "version": found.version}
            page += tuple(Hit.of(hit, keywords) for hit in self.collection.search(vector, **further))
        return page, found, report

    def explain(
        self, query: str | Query | None = None, *, items: Sequence[str] = (), words: int = 5, **parts: Unpack[Parts]
    ) -> Explanation:
        """The words that a query and stored items express, and which of them each item shares with the query.

        Args:
            query: as for `search`; may be left out, to explain items alone. Its filters and limits mean nothing here.
            items: ids.
            words: how many of each kind.

        Raises:
            As `search`.
        """
        if not 1 <= words <= MAX_WORDS:
            raise BadQuery(f"{words} words: expected 1 to {MAX_WORDS}")
        if query is None and not any(parts.values()):
            if not items:
                raise BadQuery("nothing to explain: expected a text, an image or ids of items")
            vector = None
        else:
            prepared = self._read(PreparedQuery.of(self._checked(query, parts)))
            vector = self._vector(prepared, self._embedded([prepared])[0], self._liked(prepared))
        said, explained = self._explained(vector, items, words)
        return Explanation(
            words=said, items=tuple(explained), model=self._space["model"], collection=self.collection.name
        )

    def unrelated(self) -> Vectors | None:
        """Vectors of unrelated texts, float32 (n, d), by which the collection learns what scores mean; None: warned.

        Raises:
            ModelError, SpaceMismatch: the model cannot be loaded, or is another.
        """
        return unrelated(self.encoder, self.view)

    def unknown(self, names: Iterable[str]) -> set[str]:
        """Those names that are neither an item's id nor an item's URI."""
        left = set(names)
        left -= set(self.collection.get(left, thumbnails=False)) if left else set()
        return {name for name in left if not self.collection.count(Match(field="uri", value=name))}

    def _explained(
        self, vector: Vectors | None, ids: Sequence[str], words: int, version: int | None = None
    ) -> tuple[tuple[Word, ...], list[ItemWords]]:
        stored = self._stored(ids, version) if ids else {}
        for id_ in ids:
            if id_ not in stored:
                raise ItemNotFound(id_, self.collection.name)
        return explain(self.encoder, vector, [stored[id_] for id_ in ids], words)

    def _checked(self, query: str | Query | None, parts: Parts) -> Query:
        whole = Query.whole(query, parts)
        self.check_view(whole.view)
        return whole

    @property
    def loaded(self) -> bool:
        """Whether the model has been loaded."""
        return "encoder" in self.__dict__

    @cached_property
    def encoder(self) -> Encoder:
        """The collection's model, and no other; loaded when first asked for.

        Raises:
            ModelError: it cannot be loaded.
            SpaceMismatch: what was loaded is another.
        """
        encoder = (self._loader or load)(self._config.for_space(self._space["model"], self._space["revision"]))
        space = encoder.space(self.view).as_dict()
        check_same(self.collection.name, self._space, space)
        return encoder

    @cached_property
    def splitter(self) -> Splitter:
        """Cuts texts where the collection's model would."""
        return Splitter.of(self.encoder)

    def _read(self, prepared: PreparedQuery) -> PreparedQuery:
        if not prepared.inputs:
            return prepared
        return prepared.reading([self.splitter.fitted(one) for one in prepared.inputs.values()])

    def check_view(self, name: str | None) -> None:
        """Raises SpaceMismatch, or ViewError, for a view that is not the collection's."""
        if name is None or name == self.view.name:
            return
        if get_view(name) != self.view:
            raise SpaceMismatch(
                self.collection.name,
                self._space,
                {**self._space, "view": get_view(name).name, "fingerprint": "?"},
            )

    def _embedded(self, prepared: Sequence[PreparedQuery]) -> list[dict[int, Vectors]]:
        """The vectors of each query's inputs; all are embedded together."""
        inputs = {(which, place): one for which, asked in enumerate(prepared) for place, one in asked.inputs.items()}
        found: list[dict[int, Vectors]] = [{} for _ in prepared]
        if inputs:
            vectors = encode(self.encoder, list(inputs.values()), self.view, Side.QUERY)
            for (which, place), vector in zip(inputs, vectors, strict=True):
                found[which][place] = vector
        return found

    def _liked(self, prepared: PreparedQuery) -> dict[str, Item]:
        # As of the version searched: the next page has the same query.
        return self._stored(prepared.liked, prepared.query.version) if prepared.liked else {}

    def _vector(
        self, prepared: PreparedQuery, embedded: Mapping[int, Vectors], liked: Mapping[str, Item]
    ) -> Vectors | None:
        return prepared.vector(embedded, liked, self.collection.dimension, self.collection.name)

    def _stored(self, ids: Sequence[str], version: int | None) -> dict[str, Item]:
        return self.collection.get(ids, vectors=True, thumbnails=False, version=version)


def _filter(query: Query) -> Filter | None:
    if query.modality is None:
        return query.filter
    modality = Match(field="modality", value=query.modality)
    return modality if query.filter is None else And(filters=(modality, query.filter))
