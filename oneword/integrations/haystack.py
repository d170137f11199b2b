"""Haystack: a document store, embedders, and a retriever of texts and images.

Needs the extra `oneword[haystack]`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError as HaystackFilterError

import oneword
from oneword.engine.encoder import Side
from oneword.integrations.documents import (
    ABSENT,
    ALL,
    all_of,
    by_vector,
    condition,
    from_metadata,
    joined,
    one_of,
    search,
    store,
    to_metadata,
)
from oneword.integrations.embedder import Embedder
from oneword.query.query import Composed, Image, Part, Text
from oneword.storage import Filter, FilterError


class OnewordDocumentStore:
    """A collection as Haystack's document store. A document without an embedding is embedded by the collection's model.

    A document whose `blob` is an image is stored as an image, small; its bytes stay where they are.

    Args:
        db: a folder, an object store's URI or a service's URL.
        collection: its name; it is made by the first document.
        model: what it is made with; `vectors:NAME:DIMENSIONS` for embeddings of a model that Oneword does not have.
        key: for a service that wants one; not serialized.
        return_embedding: whether `filter_documents` and retrievers return vectors, scaled to length 1.
    """

    def __init__(
        self,
        db: str = ".oneword",
        collection: str = "haystack",
        model: str = "auto",
        *,
        key: str | None = None,
        return_embedding: bool = False,
    ) -> None:
        self.db, self.name, self.model, self.return_embedding = db, collection, model, return_embedding
        self._database = oneword.connect(db, key=key)
        self.collection = self._database.collection(collection, model=model)

    def close(self) -> None:
        """Lets go of the model and the connection."""
        self._database.close()

    def to_dict(self) -> dict[str, Any]:
        """For Haystack's pipelines as YAML."""
        made: dict[str, Any] = default_to_dict(
            self, db=self.db, collection=self.name, model=self.model, return_embedding=self.return_embedding
        )
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "OnewordDocumentStore":
        """The inverse of `to_dict`."""
        made: OnewordDocumentStore = default_from_dict(cls, data)
        return made

    def count_documents(self) -> int:
        """The number of documents."""
        with suppress(*ABSENT):
            return self.collection.count()
        return 0

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """The number of documents that pass filters."""
        with suppress(*ABSENT), filter_errors():
            return self.collection.count(to_filter(filters))
        return 0

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that pass filters."""
        include = ("payload", "vector") if self.return_embedding else ("payload",)
        with suppress(*ABSENT), filter_errors():
            return [_document(one) for one in self.collection.scroll(to_filter(filters), include=include)]
        return []

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Stores documents. Returns how many were written.

        Args:
            policy: of ids that are there: FAIL (NONE is the same), SKIP or OVERWRITE.

        Raises:
            DuplicateDocumentError: an id is there, and the policy is FAIL.
            ValueError: what is given is not documents.
            oneword.Error: a document cannot be stored.
        """
        if not isinstance(documents, list) or any(not isinstance(one, Document) for one in documents):
            raise ValueError("expected a list of haystack.Document")
        if policy != DuplicatePolicy.OVERWRITE:
            ids = [one.id for one in documents]
            there = set[str]()
            with suppress(*ABSENT):
                there = set(self.collection.get(ids))
            twice = [id_ for place, id_ in enumerate(ids) if id_ in there or id_ in ids[:place]]
            if twice and policy != DuplicatePolicy.SKIP:
                raise DuplicateDocumentError(f"ids that are there already: {', '.join(twice[:5])}")
            documents = list({one.id: one for one in reversed(documents) if one.id not in there}.values())[::-1]
        return len(store(self.collection, [_item(one) for one in documents]))

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes documents by id; ids that are not there do no harm."""
        if document_ids:
            with suppress(*ABSENT):
                self.collection.delete(document_ids)

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Deletes the documents that pass filters. Returns how many."""
        with suppress(*ABSENT), filter_errors():
            return self.collection.delete(where=to_filter(filters))
        return 0

    def delete_all_documents(self) -> None:
        """Deletes all documents."""
        with suppress(*ABSENT):
            self.collection.delete(where=ALL)

    def retrieve(self, parts: Sequence[Any], filters: dict[str, Any] | None, **options: Any) -> list[Document]:
        """The documents nearest to a query's parts, with their scores; see `oneword.query.Query` for options."""
        include = frozenset({"payload", "vector"} if self.return_embedding else {"payload"})
        where = all_of([to_filter(filters), options.pop("filter", None)])
        with filter_errors():
            hits = search(self.collection, parts, filter=where, include=include, **options)
        return [replace(_document(hit), score=hit.score) for hit in hits]


@contextmanager
def filter_errors() -> Iterator[None]:
    """Raises Haystack's FilterError for ours, and for a service's."""
    try:
        yield
    except oneword.Error as error:
        if isinstance(error, FilterError) or getattr(error, "code", None) == "bad_filter":
            raise HaystackFilterError(str(error)) from error
        raise


class _Embedding:
    """What both embedders have in common."""

    def __init__(self, model: str = "auto", view: str = "default") -> None:
        self.model, self.view = model, view
        self._embedder = Embedder(model, view)

    def warm_up(self) -> None:
        """Loads the model."""
        _ = self._embedder.encoder


@component
class OnewordTextEmbedder(_Embedding):
    """The vector of a text to find by.

    Args:
        model: what `--model` takes.
        view: a view's name.
    """

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """The text's vector."""
        return {"embedding": self._embedder.texts([text], Side.QUERY)[0]}


@component
class OnewordDocumentEmbedder(_Embedding):
    """The vectors of documents: of an image (`blob`, or the file that `meta["file_path"]` names), else of the content.

    Args:
        model: what `--model` takes.
        view: a view's name.
    """

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """The documents, with `embedding`."""
        images = {place: one for place, each in enumerate(documents) if (one := _image(each)) is not None}
        vectors = dict(zip(images, self._embedder.images(list(images.values()), Side.GALLERY), strict=True))
        texts = {place: one.content or "" for place, one in enumerate(documents) if place not in images}
        vectors |= dict(zip(texts, self._embedder.texts(list(texts.values()), Side.GALLERY), strict=True))
        return {"documents": [replace(one, embedding=vectors[place]) for place, one in enumerate(documents)]}


@component
class OnewordRetriever:
    """The documents nearest to a text, a vector, an image, or an image with a text that says how they should differ.

    Args:
        document_store: where to search.
        filters: of every query.
        top_k: documents at most.
        options: of `oneword.query.Query`, such as modality, keywords, diversity, min_confidence.
    """

    def __init__(
        self,
        document_store: OnewordDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.document_store, self.filters, self.top_k, self.options = document_store, filters, top_k, options or {}

    def to_dict(self) -> dict[str, Any]:
        """For Haystack's pipelines as YAML."""
        given = {"filters": self.filters, "top_k": self.top_k, "options": self.options}
        made: dict[str, Any] = default_to_dict(self, document_store=self.document_store.to_dict(), **given)
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "OnewordRetriever":
        """The inverse of `to_dict`."""
        given = dict(data["init_parameters"])
        given["document_store"] = OnewordDocumentStore.from_dict(given["document_store"])
        made: OnewordRetriever = default_from_dict(cls, {**data, "init_parameters": given})
        return made

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str | None = None,
        query_embedding: list[float] | None = None,
        image: str | Path | ByteStream | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, Any]:
        """The documents, with their scores: cosine similarities."""
        given = image.data if isinstance(image, ByteStream) else image
        if given is not None and query is not None:
            parts: Sequence[Any] = [Composed(image=given, edit=query)]
        else:
            name, value = one_of(query=query, query_embedding=query_embedding, image=given)
            parts = by_vector(value) if name == "query_embedding" else [_part(name, value)]
        options = {"limit": top_k or self.top_k, **self.options}
        return {"documents": self.document_store.retrieve(parts, filters or self.filters, **options)}


def _part(name: str, value: Any) -> Part:
    return Text(text=value) if name == "query" else Image(image=value)


def _image(document: Document) -> Any:
    """The image of a document: its bytes or its path."""
    if document.blob is not None and (document.blob.mime_type or "").startswith("image/"):
        return document.blob.data
    return document.meta.get("file_path") if document.content is None else None


def _item(document: Document) -> dict[str, Any]:
    item: dict[str, Any] = {"id": document.id, "metadata": to_metadata(document.meta)}
    if document.content is not None:
        item["text"] = document.content
    if (image := _image(document)) is not None:
        item["image"] = image
    if document.embedding is not None:
        item["vector"] = document.embedding
    return item


def _document(one: Any) -> Document:
    vector = None if one.vector is None else one.vector.tolist()
    return Document(id=one.id, content=one.text, meta=from_metadata(one.metadata), embedding=vector)


def to_filter(filters: dict[str, Any] | None) -> Filter | None:
    """Haystack's filters as Oneword's; None: there are none.

    Raises:
        haystack.errors.FilterError: they are malformed.
    """
    return None if not filters else _tree(filters)


def _tree(filters: dict[str, Any]) -> Filter:
    logical = "field" not in filters
    needed = ("operator", "conditions") if logical else ("field", "operator", "value")
    if absent := [name for name in needed if name not in filters]:
        raise HaystackFilterError(f"filter {filters!r}: {', '.join(absent)} missing")
    try:
        if logical:
            return joined(filters["operator"], [_tree(one) for one in filters["conditions"]])
        return condition(_field(filters["field"]), filters["operator"], filters["value"])
    except FilterError as error:
        raise HaystackFilterError(str(error)) from error


def _field(name: str) -> str:
    """`meta.year` and `year` are metadata; `id` and `content` are a document's own."""
    own = {"id": "id", "content": "text"}
    return own.get(name, f"metadata.{name.removeprefix('meta.')}")
