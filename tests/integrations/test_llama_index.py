"""LlamaIndex's own index over our vector store, and our multimodal retriever."""

from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import ImageNode, NodeRelationship, QueryBundle, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

import oneword
from oneword.database import Database
from oneword.integrations.llama_index import OnewordEmbedding, OnewordRetriever, OnewordVectorStore
from oneword.storage import FilterError
from tests.integrations.conftest import BLUE, RED

pytestmark = pytest.mark.integrations

TEXTS = ["a red bicycle", "a blue boat", "a green tree"]
FACTS: list[dict[str, Any]] = [
    {"year": 2020, "tags": ["a"], "nested": {"a": 1}},
    {"year": 2024, "tags": ["a", "b"], "kind": "x"},
    {"year": 2022, "kind": "Yonder"},
]


def nodes() -> list[TextNode]:
    parents = ["p", "p", "q"]
    return [
        TextNode(
            id_=str(n),
            text=text,
            metadata=FACTS[n],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=parents[n])},
            embedding=OnewordEmbedding("hash").get_text_embedding(text),
        )
        for n, text in enumerate(TEXTS)
    ]


@pytest.fixture
def filled(database: Database) -> OnewordVectorStore:
    made = OnewordVectorStore(database.collection("nodes", model="hash"))
    assert made.query(VectorStoreQuery(query_embedding=[1.0] * 256)).nodes == []
    assert made.get_nodes(["0"]) == []
    made.clear()
    assert made.add(nodes()) == ["0", "1", "2"]
    return made


def test_nodes_come_back_as_they_were(filled: OnewordVectorStore) -> None:
    found = filled.get_nodes(["0", "2"])
    assert [(one.text, one.metadata, one.ref_doc_id) for one in found] == [  # type: ignore[attr-defined]
        (TEXTS[n], FACTS[n], parent) for n, parent in ((0, "p"), (2, "q"))
    ]


def of(*filters: tuple[str, str, Any], condition: str = "and") -> MetadataFilters:
    return MetadataFilters(
        filters=[MetadataFilter(key=key, operator=FilterOperator(test), value=value) for key, test, value in filters],
        condition=FilterCondition(condition),
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (of(("year", "==", 2024)), "1"),
        (of(("year", "!=", 2024)), "02"),
        (of(("year", ">", 2020), ("year", "<", 2024)), "2"),
        (of(("year", "<=", 2020), ("kind", "==", "x"), condition="or"), "01"),
        (of(("kind", "==", "x"), condition="not"), "02"),
        (of(("year", "in", [2020, 2022])), "02"),
        (of(("kind", "nin", ["x"])), "02"),
        (of(("tags", "any", ["b", "c"])), "1"),
        (of(("tags", "all", ["a", "b"])), "1"),
        (of(("tags", "contains", "b")), "1"),
        (of(("kind", "is_empty", None)), "0"),
        (of(("kind", "text_match", "onder")), "2"),
        (of(("kind", "text_match_insensitive", "YON")), "2"),
        (MetadataFilters(filters=[of(("year", ">=", 2022)), of(("kind", "==", "x"))]), "1"),
    ],
)
def test_filters(filled: OnewordVectorStore, filters: MetadataFilters, expected: str) -> None:
    query = VectorStoreQuery(query_embedding=[1.0] * 256, similarity_top_k=9, filters=filters)
    assert sorted(filled.query(query).ids or []) == list(expected)
    assert sorted(one.node_id for one in filled.get_nodes(filters=filters)) == list(expected)


def test_modes(filled: OnewordVectorStore) -> None:
    vector = OnewordEmbedding("hash").get_query_embedding("a blue boat")
    best = filled.query(VectorStoreQuery(query_embedding=vector))
    assert (best.ids, best.similarities) == (["1"], [pytest.approx(1, abs=1e-3)])
    words = VectorStoreQuery(query_str="tree", mode=VectorStoreQueryMode.TEXT_SEARCH)
    assert filled.query(words).ids == ["2"]
    hybrid = {"query_embedding": vector, "query_str": "tree", "mode": VectorStoreQueryMode.HYBRID}
    assert filled.query(VectorStoreQuery(**hybrid, alpha=0.0, hybrid_top_k=1)).ids == ["2"]
    assert filled.query(VectorStoreQuery(**hybrid, alpha=1.0)).ids == ["1"]
    mmr = VectorStoreQuery(query_embedding=vector, similarity_top_k=2, mode=VectorStoreQueryMode.MMR)
    assert (filled.query(mmr).ids or [])[0] == "1"
    some = VectorStoreQuery(query_embedding=vector, similarity_top_k=9, doc_ids=["p"], node_ids=["0", "2"])
    assert filled.query(some).ids == ["0"]
    with pytest.raises(FilterError, match="expected default, hybrid"):
        filled.query(VectorStoreQuery(query_embedding=vector, mode=VectorStoreQueryMode.SVM))


def test_deletion(filled: OnewordVectorStore) -> None:
    filled.delete("p")
    assert [one.node_id for one in filled.get_nodes()] == ["2"]
    filled.add(nodes())
    filled.delete_nodes(["0", "1"], of(("kind", "==", "x")))
    assert sorted(one.node_id for one in filled.get_nodes()) == ["0", "2"]
    with pytest.raises(FilterError, match="expected ids, filters or both"):
        filled.delete_nodes()
    filled.clear()
    assert filled.get_nodes() == []


async def test_an_index_of_theirs(database: Database) -> None:
    store = OnewordVectorStore(database.collection("index", model="hash"))
    made = VectorStoreIndex(
        [TextNode(text=text, id_=text) for text in TEXTS],
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=OnewordEmbedding("hash"),
    )
    assert [one.text for one in made.as_retriever(similarity_top_k=1).retrieve("a blue boat")] == ["a blue boat"]
    again = VectorStoreIndex.from_vector_store(store, embed_model=OnewordEmbedding("hash"))
    assert [one.text for one in await again.as_retriever(similarity_top_k=1).aretrieve("a green tree")] == [TEXTS[2]]


async def test_embeddings(pictures: Path) -> None:
    model = OnewordEmbedding("hash", embed_batch_size=2)
    vectors = model.get_text_embedding_batch([*TEXTS, "  "])
    assert vectors[0] == pytest.approx(await model.aget_query_embedding(TEXTS[0]))
    images = model.get_image_embedding_batch([str(pictures / "red.png"), str(pictures / "blue.png")])
    assert images[0] == pytest.approx(await model.aget_image_embedding(str(pictures / "red.png")))
    assert {len(one) for one in (*vectors, *images)} == {256}


def test_texts_and_images_that_oneword_indexed(pictures: Path, tmp_path: Path) -> None:
    (pictures / "note.txt").write_text("a note")
    collection = oneword.connect(tmp_path / "db").collection(model="hash")
    collection.index(pictures)
    retriever = OnewordRetriever(collection, k=1)
    (red,) = retriever.retrieve(QueryBundle("", image_path=str(pictures / "red.png")))
    assert isinstance(red.node, ImageNode)
    assert (red.node.image_path, red.score) == (str(pictures / "red.png"), pytest.approx(1, abs=1e-3))
    assert red.node.resolve_image().read(4) in (b"RIFF", b"\xff\xd8\xff\xe0")
    assert retriever.retrieve("a note")[0].text == "a note"
    edited = OnewordRetriever(collection, 9, "modality = image").retrieve(
        QueryBundle("a note", str(pictures / "red.png"))
    )
    assert len(edited) == 1  # without the image itself
    assert OnewordRetriever(collection, 9, of(("format", "==", "gif"))).retrieve("a note") == []
    vector = OnewordEmbedding("hash").get_image_embedding(str(pictures / "blue.png"))
    (blue,) = retriever.retrieve(QueryBundle("", embedding=vector))
    assert blue.metadata["uri"] == (pictures / "blue.png").as_uri()


def test_image_nodes(database: Database, pictures: Path) -> None:
    store = OnewordVectorStore(database.collection("images", model="hash"))
    model = OnewordEmbedding("hash")
    given = [
        ImageNode(id_=name, image_path=str(pictures / f"{name}.png"), embedding=model.get_image_embedding(image))
        for name, image in (("red", str(pictures / "red.png")), ("blue", str(pictures / "blue.png")))
    ]
    store.add(given)
    assert store.client.count("modality = image") == 2
    found = store.query(VectorStoreQuery(query_embedding=model._embedder.images([RED], "query")[0]))  # type: ignore
    assert (found.ids, [one.image_path for one in found.nodes]) == (["red"], [str(pictures / "red.png")])  # type: ignore
    retriever = OnewordRetriever(store.client, k=1)
    BLUE.save(pictures / "other.png")
    (blue,) = retriever.retrieve(QueryBundle("", image_path=str(pictures / "other.png")))
    assert blue.node.image_path == str(pictures / "blue.png")  # type: ignore[attr-defined]
