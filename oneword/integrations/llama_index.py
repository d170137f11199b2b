"""LlamaIndex: a vector store, multimodal embeddings, and a multimodal retriever.

Needs the extra `oneword[llama-index]`.
"""

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from oneword.database import Collection
from oneword.engine.encoder import Encoder, Side
from oneword.integrations.documents import (
    ABSENT,
    ALL,
    all_of,
    by_vector,
    condition,
    from_metadata,
    joined,
    search,
    store,
    to_metadata,
)
from oneword.integrations.embedder import Embedder
from oneword.query.query import Composed, Image, Part, Text
from oneword.storage import Filter, FilterError
from oneword.storage.filters.tree import And, AnyOf, Exists, Match, Not

PARENT = "metadata.ref_doc_id"
"""The metadata key in which LlamaIndex keeps the document that a node is of."""


class OnewordEmbedding(MultiModalEmbedding):
    """A model of Oneword: `OnewordEmbedding(model="siglip2")`. Texts and images have vectors of one space."""

    view: str = "default"
    _embedder: Embedder = PrivateAttr()

    def __init__(self, model: Encoder | str = "auto", view: str = "default", **more: Any) -> None:
        embedder = Embedder(model, view)
        super().__init__(model_name=embedder.name, view=view, **more)
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """For LlamaIndex's files."""
        return "OnewordEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embedder.texts([query], Side.QUERY)[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embedder.texts([text], Side.GALLERY)[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.texts(texts, Side.GALLERY)

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        return self._embedder.images([img_file_path], Side.GALLERY)[0]

    def _get_image_embeddings(self, img_file_paths: list[Any]) -> list[list[float]]:
        return self._embedder.images(img_file_paths, Side.GALLERY)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embedding(text)

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return self._get_image_embedding(img_file_path)


class OnewordVectorStore(BasePydanticVectorStore):
    """A collection as LlamaIndex's vector store. Nodes come with vectors, of the index's `embed_model`.

    Args:
        collection: for the model that embeds: of `OnewordEmbedding("siglip2")` one with `model="siglip2"`, of another
            one with `model="vectors:NAME:DIMENSIONS"`.
    """

    stores_text: bool = True
    flat_metadata: bool = False
    _collection: Collection = PrivateAttr()

    def __init__(self, collection: Collection) -> None:
        super().__init__(stores_text=True)
        self._collection = collection

    @classmethod
    def class_name(cls) -> str:
        """For LlamaIndex's files."""
        return "OnewordVectorStore"

    @property
    def client(self) -> Collection:
        """The collection."""
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Stores nodes, in place of those of the same ids. Returns their ids."""
        return store(self._collection, [_item(node) for node in nodes])

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Deletes the nodes of a document."""
        self._delete(Match(PARENT, ref_doc_id))

    def delete_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **_: Any) -> None:
        """Deletes nodes by id, or that pass filters, or both."""
        if node_ids is None and filters is None:
            raise FilterError("expected ids, filters or both; `clear` deletes all nodes")
        self._delete(_where(filters, node_ids) or ALL)

    def clear(self) -> None:
        """Deletes all nodes."""
        self._delete(ALL)

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes of these ids, that pass filters, or both."""
        where = _where(filters, node_ids)
        with suppress(*ABSENT):
            return [_node(one) for one in self._collection.scroll(where)]
        return []

    def query(self, query: VectorStoreQuery, **_: Any) -> VectorStoreQueryResult:
        """The nearest nodes. Of modes: default, hybrid, text_search and mmr."""
        parts: Sequence[Part] = ()
        options: dict[str, Any] = {"limit": query.similarity_top_k}
        mode = query.mode
        if mode in (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.TEXT_SEARCH):
            options["keywords"] = query.query_str
        if mode == VectorStoreQueryMode.HYBRID:
            options |= {"limit": query.hybrid_top_k or query.similarity_top_k}
            if query.alpha is not None:
                options |= {"fusion": "weighted", "keyword_weight": 1 - query.alpha}
        elif mode == VectorStoreQueryMode.MMR:
            options["diversity"] = 1 - (0.5 if query.mmr_threshold is None else query.mmr_threshold)
        elif mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.TEXT_SEARCH):
            raise FilterError(f"mode {mode.value!r}: expected default, hybrid, text_search or mmr")
        if mode != VectorStoreQueryMode.TEXT_SEARCH and query.query_embedding is not None:
            parts = by_vector(query.query_embedding)
        where = _where(query.filters, query.node_ids or None)  # an index that does not know its nodes gives none
        if query.doc_ids:
            where = all_of([where, AnyOf(PARENT, tuple(query.doc_ids))])
        hits = search(self._collection, parts, filter=where, **options)
        return VectorStoreQueryResult(
            nodes=[_node(hit) for hit in hits], similarities=[hit.score for hit in hits], ids=[hit.id for hit in hits]
        )

    def _delete(self, where: Filter) -> None:
        with suppress(*ABSENT):
            self._collection.delete(where=where)


class OnewordRetriever(BaseRetriever):
    """Texts and images of any collection, also of one that Oneword has indexed.

    `retrieve(QueryBundle("at night", image_path="beach.jpg"))` searches by an image and an edit; without words, by an
    image.

    Args:
        collection: where to search.
        k: nodes at most.
        filters: which nodes: LlamaIndex's, or Oneword's as text, JSON or tree.
        **options: of `oneword.query.Query`, such as modality, keywords, diversity, min_confidence.
    """

    def __init__(
        self, collection: Collection, k: int = 10, filters: MetadataFilters | Any | None = None, **options: Any
    ) -> None:
        super().__init__()
        self._collection, self._options = collection, {"limit": k, **options}
        self._where = _where(filters, None) if isinstance(filters, MetadataFilters) else _parsed(filters)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        words, image = query_bundle.query_str, query_bundle.image_path
        part: Part = Text(text=words) if image is None else Image(image=image)
        if image is not None and words.strip():
            part = Composed(image=image, edit=words)
        parts = [part] if query_bundle.embedding is None else by_vector(query_bundle.embedding)
        include = frozenset({"payload", "thumbnail"})
        hits = search(self._collection, parts, filter=self._where, include=include, **self._options)
        return [NodeWithScore(node=_seen(hit), score=hit.score) for hit in hits]


def _parsed(filters: Any) -> Filter | None:
    from oneword.storage import parse_filter

    return None if filters is None else parse_filter(filters)


def _item(node: BaseNode) -> dict[str, Any]:
    metadata = to_metadata(node_to_metadata_dict(node, remove_text=True, flat_metadata=False))
    item = {"id": node.node_id, "vector": node.get_embedding(), "metadata": metadata}
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    if isinstance(node, ImageNode):
        item["modality"] = "image"
    return item | ({"text": text} if text.strip() else {})


def _node(one: Any) -> BaseNode:
    """The node that was stored; of an item that LlamaIndex did not store, a new one."""
    metadata = from_metadata(one.metadata)
    return metadata_dict_to_node(metadata, text=one.text or "") if "_node_content" in metadata else _seen(one)


def _seen(one: Any) -> BaseNode:
    """A node of a text or an image, whoever stored it."""
    metadata = from_metadata(one.metadata)
    if "_node_content" in metadata:
        return metadata_dict_to_node(metadata, text=one.text or "")
    facts: dict[str, Any] = {"id_": one.id, "text": one.text or "", "metadata": metadata | {"uri": one.uri}}
    if one.modality != "image":
        return TextNode(**facts)
    parts = urlsplit(one.uri)
    if parts.scheme == "file":
        facts["image_path"] = unquote(parts.path)
    elif parts.scheme in ("http", "https"):
        facts["image_url"] = one.uri
    if one.thumbnail is not None:
        facts["image"] = base64.b64encode(one.thumbnail).decode()
    return ImageNode(**facts)


def _where(filters: MetadataFilters | None, ids: Sequence[str] | None) -> Filter | None:
    return all_of([None if filters is None else _tree(filters), None if ids is None else AnyOf("id", tuple(ids))])


_NAMES = {"nin": "not in", "contains": "contains", "text_match_insensitive": "contains"}


def _tree(filters: MetadataFilters | MetadataFilter) -> Filter:
    """LlamaIndex's filters as Oneword's. `text_match` ignores case, too."""
    if isinstance(filters, MetadataFilters):
        return joined((filters.condition or "and"), [_tree(one) for one in filters.filters])
    field, value = f"metadata.{filters.key}", filters.value
    match filters.operator:
        case FilterOperator.ANY:
            return AnyOf(field, tuple(value if isinstance(value, list) else [value]))
        case FilterOperator.ALL:
            return And(tuple(Match(field, one) for one in (value if isinstance(value, list) else [value])))
        case FilterOperator.IS_EMPTY:
            return Not(Exists(field))
        case FilterOperator.CONTAINS if not isinstance(value, str):
            return Match(field, value)
        case FilterOperator.TEXT_MATCH:
            return condition(field, "contains", value)
    return condition(field, _NAMES.get(filters.operator.value, filters.operator.value), value)
