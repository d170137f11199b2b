"""The search service: a query object in, hits out. Knows nothing of terminals or HTTP."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engine
from engine.config import EngineConfig
from engine.encoder import Encoder, Side
from engine.encoding import encode
from engine.images import decode, decode_file
from engine.models import load
from engine.views import View
from engine.views import get as get_view
from engine.words import Word
from query.errors import BadQuery
from query.explanation import Explanation, ItemWords, explain
from query.question import MAX_WORDS, Composed, Image, Like, Picture, Query, Text, Vector
from query.result import Hit, SearchResult
from storage import And, Collection, Filter, ItemNotFound, Match, SpaceMismatch, StorageConfig, Store

Vectors = NDArray[np.float32]


class SearchService:
    """Answers queries over one collection.

    The model is loaded at the first query that needs one: a query by stored items or vectors needs none.

    Args:
        db: a folder, or an object-store URI.
        collection: its name.
        model: a name or a whole configuration; "auto" is the model that the collection was indexed with.
        storage: how the serving index is held.

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
        self._collection: Collection = Store(db, config=storage).open(collection)
        self._space: dict[str, Any] = self._collection.space
        self._config = EngineConfig.of(model)
        self._view = View.from_dict(self._space["prompts"])

    def search(self, query: str | Query | None = None, **parts: Any) -> SearchResult:
        """Nearest neighbours of a query, best first.

        Args:
            query: words, or a whole `Query`.
            **parts: instead of a `Query`, what `Query.of` takes: image, edit, like, without, where, modality,
                limit, offset, min_score, view, explain, keywords, fusion, keyword_weight, diversity, group_by,
                version.

        Raises:
            BadQuery: nothing asked, parts that cancel out, or a vector of another dimension.
            InputError: a picture or text in the query cannot be read.
            ItemNotFound: no such item to be like.
            FilterError: the filter names unknown fields.
            SpaceMismatch: another model or view than the collection's.
            NoWords: an explanation is asked for, and the model has no words.
            BadSearch, MissingKeywords, VersionNotFound: as `storage.Collection.search`.
        """
        return self.search_batch([self._checked(query, parts)])[0]

    def search_batch(self, queries: Sequence[str | Query]) -> list[SearchResult]:
        """Answers several queries, whose texts and pictures are embedded together.

        Raises:
            As `search`; then none is answered.
        """
        checked = [self._checked(query, {}) for query in queries]
        if any(query.explain or any(not isinstance(part, Like | Vector) for part in query.parts) for query in checked):
            _ = self._encoder  # loading it is no part of encoding a query
        started = time.perf_counter()
        asked = self._questions(checked)
        encode_ms = 1000 * (time.perf_counter() - started)
        return [self._answered(query, *one, encode_ms) for query, one in zip(checked, asked, strict=True)]

    def _answered(
        self, query: Query, vector: Vectors | None, excluded_images: Sequence[str], encode_ms: float
    ) -> SearchResult:
        started = time.perf_counter()
        found = self._collection.search(
            vector,
            limit=query.limit,
            offset=query.offset,
            filter=_filter(query),
            min_score=query.min_score,
            exclude_ids=[part.id for part in query.parts if isinstance(part, Like)],
            exclude_image_hashes=excluded_images,
            keywords=query.keywords,
            fusion=query.fusion,
            keyword_weight=query.keyword_weight,
            diversity=query.diversity,
            group_by=query.group_by,
            version=query.version,
        )
        search_ms = 1000 * (time.perf_counter() - started)
        hits = tuple(Hit.of(hit) for hit in found)
        words: tuple[Word, ...] = ()
        if query.explain:
            words, explained = self._explained(vector, [hit.id for hit in hits], query.explain, found.version)
            hits = tuple(
                replace(hit, words=one.words, shared=one.shared) for hit, one in zip(hits, explained, strict=True)
            )
        cosines = query.keywords is None and "_encoder" in self.__dict__
        return SearchResult(
            hits=hits,
            total=found.total if query.min_score is None and query.group_by is None else None,
            version=found.version,
            encode_ms=encode_ms,
            search_ms=search_ms,
            model=self._space["model"],
            collection=self._collection.name,
            low_confidence=self._encoder.low_confidence if cosines else None,
            words=words,
        )

    def explain(
        self, query: str | Query | None = None, *, items: Sequence[str] = (), words: int = 5, **parts: Any
    ) -> Explanation:
        """The words that a question and stored items stand for, and which of them each item shares with the question.

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
            vector = self._questions([self._checked(query, parts)])[0][0]
        said, explained = self._explained(vector, items, words)
        return Explanation(
            words=said, items=tuple(explained), model=self._space["model"], collection=self._collection.name
        )

    def unknown(self, names: Iterable[str]) -> set[str]:
        """Those names that are neither an item's id nor an item's URI."""
        left = set(names)
        left -= set(self._collection.get(left, thumbnails=False)) if left else set()
        return {name for name in left if not self._collection.count(Match(field="uri", value=name))}

    def _explained(
        self, vector: Vectors | None, ids: Sequence[str], words: int, version: int | None = None
    ) -> tuple[tuple[Word, ...], list[ItemWords]]:
        stored = self._collection.get(ids, vectors=True, thumbnails=False, version=version) if ids else {}
        for id_ in ids:
            if id_ not in stored:
                raise ItemNotFound(id_, self._collection.name)
        return explain(self._encoder, vector, [stored[id_] for id_ in ids], words)

    def _checked(self, query: str | Query | None, parts: dict[str, Any]) -> Query:
        if not isinstance(query, Query):
            query = Query.of(**parts) if query is None else Query.of(query, **parts)
        elif parts:
            raise BadQuery(f"a whole Query and {', '.join(parts)}: give one or the other")
        self._check_view(query.view)
        return query

    @cached_property
    def _encoder(self) -> Encoder:
        """The collection's model, and no other."""
        encoder = load(self._config.for_space(self._space["model"]))
        space = encoder.space(self._view).as_dict()
        if space["fingerprint"] != self._space["fingerprint"]:
            raise SpaceMismatch(self._collection.name, self._space, space)
        return encoder

    def _check_view(self, name: str | None) -> None:
        if name is None or name == self._view.name:
            return
        if get_view(name) != self._view:
            raise SpaceMismatch(
                self._collection.name,
                self._space,
                {**self._space, "view": get_view(name).name, "fingerprint": "?"},
            )

    def _questions(self, queries: Sequence[Query]) -> list[tuple[Vectors | None, list[str]]]:
        """Of each query its unit vector, float32 (d,), if it has parts, and the hashes of the pictures it edits."""
        inputs = {
            (which, place): _input(part)
            for which, query in enumerate(queries)
            for place, part in enumerate(query.parts)
            if not isinstance(part, Like | Vector)
        }
        embedded: dict[tuple[int, int], Vectors] = {}
        if inputs:
            found = encode(self._encoder, list(inputs.values()), self._view, Side.QUERY)
            embedded = dict(zip(inputs, found, strict=True))
        questions: list[tuple[Vectors | None, list[str]]] = []
        for which, query in enumerate(queries):
            vectors = {place: vector for (of, place), vector in embedded.items() if of == which}
            edited = [
                one.image.content_hash
                for (of, _), one in inputs.items()
                if of == which and isinstance(one, engine.Composed)
            ]
            liked = [part.id for part in query.parts if isinstance(part, Like)]
            # As they were at the version asked of: the next page has the same question.
            stored = self._collection.get(liked, vectors=True, thumbnails=False, version=query.version) if liked else {}
            questions.append((self._mixed(query, vectors, stored) if query.parts else None, edited))
        return questions

    def _mixed(self, query: Query, embedded: dict[int, Vectors], stored: dict[str, Any]) -> Vectors:
        """The normalised sum of the weighted parts; `embedded` by their place in the query."""
        total = np.zeros(self._collection.dimension, dtype=np.float64)
        for place, part in enumerate(query.parts):
            match part:
                case Like():
                    vector = _stored_vector(stored, part.id, self._collection.name)
                case Vector():
                    vector = _raw_vector(part, self._collection.dimension)
                case _:
                    vector = embedded[place]
            total += part.weight * vector
        length = np.linalg.norm(total)
        if length < 1e-6:
            raise BadQuery("the parts of the query cancel each other out: change a weight, or drop a part")
        return (total / length).astype(np.float32)


def _filter(query: Query) -> Filter | None:
    if query.modality is None:
        return query.filter
    modality = Match(field="modality", value=query.modality)
    return modality if query.filter is None else And(filters=(modality, query.filter))


def _input(part: Text | Image | Composed) -> engine.Input:
    match part:
        case Text():
            return engine.Text(text=part.text)
        case Image():
            return _picture(part.image)
        case Composed():
            return engine.Composed(image=_picture(part.image), edit=part.edit)


def _picture(picture: Picture) -> engine.Image:
    match picture:
        case str() | Path():
            return engine.Image(pixels=decode_file(Path(picture).expanduser()))
        case bytes():
            return engine.Image(pixels=decode(picture))
        case _:
            return engine.Image(pixels=picture)


def _stored_vector(stored: dict[str, Any], item_id: str, collection: str) -> Vectors:
    if item_id not in stored:
        raise ItemNotFound(item_id, collection)
    vector: Vectors = stored[item_id].vector
    return vector / np.linalg.norm(vector)


def _raw_vector(part: Vector, dimension: int) -> Vectors:
    try:
        vector = np.asarray(part.values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadQuery(f"the vector is no list of numbers: {error}") from error
    if vector.shape != (dimension,):
        raise BadQuery(f"the vector has shape {vector.shape}: expected ({dimension},), as the collection has")
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        raise BadQuery(f"the vector has length {length}: expected finite numbers, not all zero")
    return vector / length
