"""LangChain's own suites over our vector store and embeddings, and what is ours beside them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, VectorStoreIntegrationTests
from langchain_tests.integration_tests.retrievers import RetrieversIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

import oneword
from oneword.database import Database
from oneword.integrations.langchain import (
    OnewordEmbeddings,
    OnewordRetriever,
    OnewordTranslator,
    OnewordVectorStore,
    to_filter,
)
from oneword.storage import FilterError
from oneword.storage.filters.tree import And, Match, Not, Or, Range
from tests.integrations.conftest import BLUE, RED

pytestmark = pytest.mark.integrations


class TestOwnModel(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, database: Database) -> VectorStore:
        return OnewordVectorStore(database.collection("docs", model="hash"))


class TestOtherModel(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, database: Database) -> VectorStore:
        return OnewordVectorStore(database.collection("docs", model="vectors:fake:6"), self.get_embeddings())


class _Embeddings:
    embeddings_class = OnewordEmbeddings
    embedding_model_params = {"model": "hash"}  # noqa: RUF012


class TestEmbeddings(_Embeddings, EmbeddingsUnitTests):
    pass


class TestEmbeddingsInUse(_Embeddings, EmbeddingsIntegrationTests):
    pass


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def filled(self, tmp_path: Path) -> None:
        self.collection = oneword.connect(tmp_path / "db").collection("docs", model="hash")
        self.collection.upsert([{"id": str(n), "text": f"text {n}"} for n in range(9)])

    @property
    def retriever_constructor(self) -> type[OnewordRetriever]:
        return OnewordRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": self.collection}

    @property
    def retriever_query_example(self) -> str:
        return "text 3"


FACTS = [
    {"year": 2020, "tags": ["a"], "nested": {"a": [1, None]}, "_own": 1, "strange key": "x", "none": None},
    {"year": 2024, "tags": ["a", "b"], "kind": "x", "id": 7},
    {"year": 2022},
]
TEXTS = ["a red bicycle", "a blue boat", "a green tree"]


@pytest.fixture
def filled(database: Database) -> OnewordVectorStore:
    made = OnewordVectorStore(database.collection("docs", model="hash"))
    assert made.add_texts(TEXTS, FACTS, ids=["0", "1", None])[:2] == ["0", "1"]
    return made


def test_metadata_of_any_kind_comes_back(filled: OnewordVectorStore) -> None:
    assert [one.metadata for one in filled.get_by_ids(["1", "absent", "0"])] == [FACTS[1], FACTS[0]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("year >= 2022", {1, 2}),
        ({"must": [{"field": "year", "match": 2022}]}, {2}),
        (Match("year", 2020), {0}),
        ({"year": 2024}, {1}),
        ({"year": {"$gt": 2020, "$lt": 2024}}, {2}),
        ({"$or": [{"year": 2020}, {"kind": {"$in": ["x", "y"]}}]}, {0, 1}),
        ({"$not": {"kind": "x"}}, {0, 2}),
        ({"kind": {"$nin": ["x"]}, "year": {"$ne": 2020}}, {2}),
        ({"id": 7}, {1}),
        ({"tags": {"$contains": "b"}}, {1}),
        ({"kind": None}, {0, 2}),
        ({}, {0, 1, 2}),
    ],
)
def test_filters(filled: OnewordVectorStore, condition: Any, expected: set[int]) -> None:
    found = filled.similarity_search("a boat", k=9, filter=condition)
    assert {one.page_content for one in found} == {TEXTS[n] for n in expected}


@pytest.mark.parametrize("condition", [{"year": {"$near": 1}}, {"$xor": []}, {"kind": {"$in": "x"}}, "year >"])
def test_filters_that_are_none(condition: Any) -> None:
    with pytest.raises(FilterError, match="expected"):
        to_filter(condition)


def test_structured_queries() -> None:
    year = Comparison(comparator=Comparator.GTE, attribute="year", value=2020)
    day = Comparison(comparator=Comparator.LT, attribute="day", value={"date": str(date(2024, 5, 31)), "type": "date"})
    query = StructuredQuery(
        query="a cat",
        filter=Operation(
            operator=Operator.OR,
            arguments=[
                year,
                Operation(operator=Operator.NOT, arguments=[day]),
                Comparison(comparator=Comparator.NIN, attribute="tags", value=["a"]),
            ],
        ),
        limit=3,
    )
    words, options = OnewordTranslator().visit_structured_query(query)
    tree = options["filter"]
    assert (words, options["k"], type(tree)) == ("a cat", 3, Or)
    assert tree.filters[0] == Range("metadata.year", gte=2020)
    assert tree.filters[1] == Not(And((Range("metadata.day", lt="2024-05-31"),)))


def test_scores_diversity_and_deletion(filled: OnewordVectorStore) -> None:
    (best, score), *_ = filled.similarity_search_with_score("a blue boat", k=1)
    assert (best.page_content, score) == ("a blue boat", pytest.approx(1, abs=1e-3))
    relevant = filled.similarity_search_with_relevance_scores("a blue boat", k=3, score_threshold=0.99)
    assert [one.page_content for one, _ in relevant] == ["a blue boat"]
    vector = OnewordEmbeddings("hash").embed_query("a blue boat")
    assert filled.similarity_search_by_vector(vector, k=1) == [best]
    assert len(filled.max_marginal_relevance_search("a boat", k=2, lambda_mult=0.1)) == 2
    assert filled.max_marginal_relevance_search_by_vector(vector, k=1) == [best]
    retriever = filled.as_retriever(search_kwargs={"k": 1, "filter": "year = 2022"})
    assert [one.page_content for one in retriever.invoke("a blue boat")] == ["a green tree"]
    filled.delete(filter={"year": 2022})
    assert len(filled.similarity_search("a", k=9)) == 2
    filled.delete()
    assert filled.similarity_search("a", k=9) == []


def test_images(database: Database, pictures: Path) -> None:
    made = OnewordVectorStore(database.collection("pictures", model="hash"))
    ids = made.add_images([pictures / "red.png", str(pictures / "blue.png"), RED.rotate(90)], [{"year": 1}, {}, {}])
    (red,) = made.similarity_search_by_image(RED, k=1)
    assert (red.id, red.metadata["source"], red.metadata["modality"]) == (ids[0], str(pictures / "red.png"), "image")
    assert made.similarity_search_by_image(BLUE, k=1)[0].id == ids[1]
    made.add_texts(["note"], ids=["note"])
    retriever = OnewordRetriever(
        collection=made.collection, k=2, filter="modality = image", options={"diversity": 0.1}, thumbnails=True
    )
    found = retriever.invoke("", image=pictures / "red.png")
    assert found[0].id == ids[0]
    assert found[0].metadata["thumbnail"].startswith("data:image/")
    assert len(retriever.invoke("in blue", image=RED)) == 2
    assert [one.id for one in retriever.invoke("note", k=1, filter="modality = text")] == ["note"]


def test_from_texts(database: Database) -> None:
    own, fake = database.collection("own", model="hash"), database.collection("fake", model="vectors:fake:6")
    other = VectorStoreIntegrationTests.get_embeddings()
    for made in (
        OnewordVectorStore.from_texts(TEXTS, OnewordEmbeddings("hash"), FACTS, collection=own),
        OnewordVectorStore.from_texts(TEXTS, other, collection=fake),
    ):
        assert made.similarity_search("a blue boat", k=1)[0].page_content == "a blue boat"
    new = Document(page_content="new", id="n")
    again = OnewordVectorStore.from_documents([new], OnewordEmbeddings("hash"), collection=own)
    assert again.get_by_ids(["n"]) == [new]
    assert (again.embeddings, own.count()) == (None, 4)
    with pytest.raises(oneword.Error, match="shape"):
        OnewordVectorStore.from_texts(TEXTS, other, collection=own)
