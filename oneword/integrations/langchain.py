"""LangChain: a vector store, embeddings, a retriever of texts and images, and a translator of filters.

Needs the extra `oneword[langchain]`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery, Visitor
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field

from oneword.database import Collection
from oneword.engine.encoder import Encoder, Side
from oneword.integrations.documents import (
    ABSENT,
    ALL,
    by_vector,
    condition,
    from_metadata,
    joined,
    search,
    store,
    to_metadata,
)
from oneword.integrations.embedder import Embedder
from oneword.query.query import Composed, Image, ImageSource, Part, Text
from oneword.query.result import Hit, data_uri
from oneword.storage import Filter, FilterError, parse_filter
from oneword.storage.filters.clauses import CLAUSES, PLACES

Condition = str | Mapping[str, Any] | Filter
"""A filter: Oneword's language, JSON or tree; or LangChain's {"year": 2024}, {"year": {"$gte": 2020}}, {"$or": []}."""


class OnewordEmbeddings(Embeddings):
    """A model of Oneword.

    Args:
        model: an encoder, or what `--model` takes.
        view: a view's name.
    """

    def __init__(self, model: Encoder | str = "auto", view: str = "default") -> None:
        self.embedder = Embedder(model, view)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors of texts to be found."""
        return self.embedder.texts(texts, Side.GALLERY)

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of a text to find by."""
        return self.embedder.texts([text], Side.QUERY)[0]

    def embed_images(self, images: Sequence[Any]) -> list[list[float]]:
        """Unit vectors of images to be found: paths, bytes or PIL images."""
        return self.embedder.images(images, Side.GALLERY)


class OnewordVectorStore(VectorStore):
    """A collection as LangChain's vector store.

    Args:
        collection: of `oneword.connect(...).collection(...)`; it is made by the first document.
        embedding: None: the collection's own model embeds, texts and images. Another model's: then the collection is
            one of `model="vectors:NAME:DIMENSIONS"`.
    """

    def __init__(self, collection: Collection, embedding: Embeddings | None = None) -> None:
        self.collection, self._embedding = collection, embedding

    @property
    def embeddings(self) -> Embeddings | None:
        """The model, if it is not the collection's own."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        collection: Collection,
        **_: Any,
    ) -> Self:
        """A store of these texts.

        Args:
            embedding: `OnewordEmbeddings`: the collection's own model embeds.
        """
        made = cls(collection, None if isinstance(embedding, OnewordEmbeddings) else embedding)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        """Stores texts, in place of those of the same ids. Returns their ids."""
        given = list(texts)
        items = self._items(len(given), metadatas, ids)
        vectors = self._embedding.embed_documents(given) if self._embedding is not None and given else []
        for item, text in zip(items, given, strict=True):
            item["text"] = text
        for item, vector in zip(items, vectors, strict=False):
            item["vector"] = vector
        return store(self.collection, items)

    def add_images(
        self,
        images: Sequence[ImageSource],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        texts: Sequence[str] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Stores images, with their captions if there are any, by the collection's own model. Returns their ids."""
        items = self._items(len(images), metadatas, ids)
        for place, (item, image) in enumerate(zip(items, images, strict=True)):
            item["image"] = image
            if texts is not None:
                item["text"] = texts[place]
            if isinstance(image, str | Path):
                item["metadata"].setdefault("source", str(image))
        return store(self.collection, items)

    def _items(
        self, count: int, metadatas: list[dict[str, Any]] | None, ids: Sequence[str | None] | None
    ) -> list[dict[str, Any]]:
        pairs = zip(ids or [None] * count, metadatas or [{}] * count, strict=True)
        return [{"id": id_ or str(uuid4()), "metadata": to_metadata(metadata or {})} for id_, metadata in pairs]

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids, in their order; those that do not exist are left out."""
        with suppress(*ABSENT):
            there = self.collection.get(ids)
            return [_document(there[id_]) for id_ in ids if id_ in there]
        return []

    def delete(self, ids: list[str] | None = None, *, filter: Condition | None = None, **_: Any) -> bool:  # noqa: A002
        """Deletes documents by id, or all that pass a filter, or all."""
        where = (to_filter(filter) or ALL) if ids is None else None
        with suppress(*ABSENT):
            self.collection.delete(ids, where=where)
        return True

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """The k nearest documents. options: `filter`, and those of `oneword.query.Query`, such as modality."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **options)]

    def similarity_search_with_score(self, query: str, k: int = 4, **options: Any) -> list[tuple[Document, float]]:
        """The k nearest documents with their cosine similarity."""
        return self._search(self._parts(query), k, **options)

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **options: Any) -> list[Document]:
        """The k documents nearest to a vector."""
        return [document for document, _ in self._search(by_vector(embedding), k, **options)]

    def similarity_search_by_image(
        self, image: ImageSource, k: int = 4, *, edit: str | None = None, **options: Any
    ) -> list[Document]:
        """The k documents nearest to an image, or to an image as `edit` says that they should differ from it."""
        part = Image(image=image) if edit is None else Composed(image=image, edit=edit)
        return [document for document, _ in self._search([part], k, **options)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """k documents that are near and unlike each other: Oneword's `diversity`, which looks as deep as it needs."""
        found = self._search(self._parts(query), k, diversity=1 - lambda_mult, **options)
        return [document for document, _ in found]

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, by a vector."""
        found = self._search(by_vector(embedding), k, diversity=1 - lambda_mult, **options)
        return [document for document, _ in found]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> list[tuple[Document, float]]:
        """Relevance: the cosine similarity, -1 to 1, put between 0 and 1."""
        threshold = options.pop("score_threshold", None)
        found = [(one, (1 + score) / 2) for one, score in self.similarity_search_with_score(query, k, **options)]
        return [(one, score) for one, score in found if threshold is None or score >= threshold]

    def _parts(self, query: str) -> Sequence[Part]:
        return [Text(text=query)] if self._embedding is None else by_vector(self._embedding.embed_query(query))

    def _search(
        self,
        parts: Sequence[Part],
        k: int,
        *,
        filter: Condition | None = None,  # noqa: A002
        **options: Any,
    ) -> list[tuple[Document, float]]:
        hits = search(self.collection, parts, limit=k, filter=to_filter(filter), **options)
        return [(_document(hit), hit.score) for hit in hits]


class OnewordRetriever(BaseRetriever):
    """Texts and images of any collection, also of one that Oneword has indexed.

    A document of an image has `uri`, `modality` and, with `thumbnails`, `thumbnail` (a data URI) in its metadata.

    Args:
        collection: where to search.
        k: documents at most.
        filter: which documents.
        options: of `oneword.query.Query`, such as modality, keywords, diversity, min_confidence.
        thumbnails: whether to return images, small.

    `invoke("at night", image="beach.jpg")` searches by an image and an edit; without words, by an image.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: Any
    k: int = 4
    filter: Any = None
    options: dict[str, Any] = Field(default_factory=dict)
    thumbnails: bool = False

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, image: ImageSource | None = None, **more: Any
    ) -> list[Document]:
        part: Part = Text(text=query) if image is None else Image(image=image)
        if image is not None and query.strip():
            part = Composed(image=image, edit=query)
        options = {"k": self.k, "filter": self.filter, **self.options, **more}
        options |= {"limit": options.pop("k"), "filter": to_filter(options["filter"])}
        if self.thumbnails:
            options["include"] = frozenset({"payload", "thumbnail"})
        return [_document(hit, facts=True) for hit in search(self.collection, [part], **options)]


def _document(one: Any, *, facts: bool = False) -> Document:
    """A hit or a stored item as a document. facts: with where it is and what it is, for which metadata has no place."""
    metadata = from_metadata(one.metadata)
    if facts or one.modality == "image":
        metadata |= {"uri": one.uri, "modality": one.modality}
    if facts and isinstance(one, Hit):
        metadata["score"] = one.score
    if one.thumbnail is not None:
        metadata["thumbnail"] = data_uri(one.thumbnail)
    return Document(id=one.id, page_content=one.text or "", metadata=metadata)


def to_filter(given: Condition | None) -> Filter | None:
    """A filter as Oneword's tree; None: there is none.

    Raises:
        FilterError: it cannot be read.
    """
    if given is None or isinstance(given, Filter):
        return given
    if isinstance(given, str) or not given or set(given) <= {"field", *CLAUSES, *PLACES} | _TESTS:
        return parse_filter(given)
    return joined("and", [_of_mapping(name, value) for name, value in given.items()])


_TESTS = {"match", "any", "range", "exists", "contains"}
_OPERATORS = {
    "$eq": "==",
    "$ne": "!=",
    "$gt": ">",
    "$gte": ">=",
    "$lt": "<",
    "$lte": "<=",
    "$in": "in",
    "$nin": "not in",
    "$contains": "contains",
}


def _of_mapping(name: str, value: Any) -> Filter:
    if name in ("$and", "$or", "$not"):
        several = value if isinstance(value, list) else [value]
        return joined(name[1:], [one for each in several if (one := to_filter(each)) is not None])
    if name.startswith("$"):
        raise FilterError(f"filter {name!r}: expected a metadata key, $and, $or or $not")
    tests = value if isinstance(value, Mapping) else {"$eq": value}
    if unknown := set(tests) - set(_OPERATORS):
        raise FilterError(f"filter {name!r} has {', '.join(sorted(unknown))}: expected some of {', '.join(_OPERATORS)}")
    return joined("and", [condition(f"metadata.{name}", _OPERATORS[test], one) for test, one in tests.items()])


class OnewordTranslator(Visitor):
    """Filters of LangChain's structured queries (`SelfQueryRetriever`) as Oneword's."""

    allowed_comparators = tuple(one for one in Comparator if one != Comparator.LIKE)
    allowed_operators = tuple(Operator)

    def visit_operation(self, operation: Operation) -> Filter:
        """And, or, not."""
        return joined(operation.operator.value, [one.accept(self) for one in operation.arguments])

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """A comparison of a metadata key."""
        names = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "in": "in", "nin": "not in"}
        operator = names.get(comparison.comparator.value, "contains")
        value = comparison.value
        if isinstance(value, Mapping):  # a date: {"date": "2024-05-31", "type": "date"}
            value = value.get("date", value.get("datetime"))
        return condition(f"metadata.{comparison.attribute}", operator, value)

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """The words, and what `similarity_search` takes beside them."""
        query = structured_query
        options = {} if query.filter is None else {"filter": query.filter.accept(self)}
        return query.query, options | ({} if query.limit is None else {"k": query.limit})
