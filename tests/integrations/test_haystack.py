"""Haystack's own suites over our document store, and our components in a pipeline."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    DeleteAllTest,
    DeleteByFilterTest,
    DocumentStoreBaseTests,
    create_filterable_docs,
)

import oneword
from oneword.integrations.haystack import (
    OnewordDocumentEmbedder,
    OnewordDocumentStore,
    OnewordRetriever,
    OnewordTextEmbedder,
)
from tests.integrations.conftest import RED

pytestmark = pytest.mark.integrations


@pytest.fixture
def opened(db: str) -> Iterator[OnewordDocumentStore]:
    made = OnewordDocumentStore(db, model="hash", return_embedding=True)
    yield made
    made.close()


@pytest.fixture
def document_store(opened: OnewordDocumentStore) -> OnewordDocumentStore:
    return opened


class TestOneword(DocumentStoreBaseTests, DeleteAllTest, DeleteByFilterTest, CountDocumentsByFilterTest):
    @pytest.fixture
    def document_store(self, opened: OnewordDocumentStore) -> OnewordDocumentStore:
        return opened

    @pytest.fixture
    def filterable_docs(self) -> list[Document]:
        """With vectors of 256 numbers, the model's."""
        return [replace(one, embedding=one.embedding and one.embedding[:256]) for one in create_filterable_docs()]

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """In any order; vectors come back at length 1, in half precision, and for texts that had none."""
        ours, theirs = ({one.id: one for one in some} for some in (received, expected))
        assert len(received) == len(expected)
        assert {id_: replace(one, embedding=None) for id_, one in ours.items()} == {
            id_: replace(one, embedding=None) for id_, one in theirs.items()
        }
        for id_, one in theirs.items():
            assert ours[id_].embedding is not None
            if one.embedding is not None:
                unit = np.array(one.embedding) / np.linalg.norm(one.embedding)
                np.testing.assert_allclose(ours[id_].embedding, unit, atol=1e-3)

    def test_write_documents(self, document_store: OnewordDocumentStore) -> None:
        doc = Document(content="test doc")
        assert document_store.write_documents([doc]) == 1
        self.assert_documents_are_equal(document_store.filter_documents(), [doc])
        with pytest.raises(DuplicateDocumentError, match=doc.id):
            document_store.write_documents([doc])


def test_documents_given_twice(document_store: OnewordDocumentStore) -> None:
    twice = [Document(id="a", content="one"), Document(id="a", content="two"), Document(id="b", content="three")]
    with pytest.raises(DuplicateDocumentError):
        document_store.write_documents(twice)
    assert document_store.write_documents(twice, DuplicatePolicy.SKIP) == 2
    assert [one.content for one in document_store.filter_documents()] == ["one", "three"]


def test_metadata_of_any_kind_comes_back(document_store: OnewordDocumentStore) -> None:
    meta = {"nested": {"a": [1, None]}, "none": None, "year": 2024, "tags": ["a"], "odd key": 1, "id": 3}
    document_store.write_documents([Document(id="a", content="one", meta=meta)])
    assert document_store.filter_documents({"field": "meta.id", "operator": "==", "value": 3})[0].meta == meta
    assert document_store.count_documents_by_filter({"field": "content", "operator": "==", "value": "one"}) == 1


@pytest.mark.parametrize(
    "filters",
    [
        {"operator": "XOR", "conditions": []},
        {"field": "meta.number", "operator": "~", "value": 1},
        {"field": "meta.absent", "operator": "==", "value": 1},
    ],
)
def test_filters_that_are_none(document_store: OnewordDocumentStore, filters: dict[str, object]) -> None:
    document_store.write_documents([Document(content="one", meta={"number": 1})])
    with pytest.raises(FilterError):
        document_store.filter_documents(filters)


def test_a_pipeline_of_texts_and_images(document_store: OnewordDocumentStore, pictures: Path) -> None:
    embedder = OnewordDocumentEmbedder("hash")
    embedder.warm_up()
    blob = ByteStream((pictures / "blue.png").read_bytes(), mime_type="image/png")
    given = [
        Document(id="text", content="a red bicycle"),
        Document(id="red", meta={"file_path": str(pictures / "red.png")}),
        Document(id="blue", blob=blob),
    ]
    made = embedder.run(given)["documents"]
    assert [len(one.embedding) for one in made] == [256] * 3
    document_store.write_documents(made, DuplicatePolicy.OVERWRITE)
    retriever = OnewordRetriever(document_store, top_k=1)
    pipeline = Pipeline()
    pipeline.add_component("embedder", OnewordTextEmbedder("hash"))
    pipeline.add_component("retriever", retriever)
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    (text,) = pipeline.run({"embedder": {"text": "a red bicycle"}})["retriever"]["documents"]
    assert (text.id, text.score) == ("text", pytest.approx(1, abs=1e-3))
    RED.save(pictures / "query.png")
    for image, expected in ((pictures / "query.png", "red"), (str(pictures / "blue.png"), "blue"), (blob, "blue")):
        assert retriever.run(image=image)["documents"][0].id == expected
    assert retriever.run(query="a red bicycle")["documents"][0].id == "text"
    assert len(retriever.run(image=pictures / "red.png", query="in blue", top_k=9)["documents"]) == 2
    of_images = OnewordRetriever(document_store, options={"modality": "image"})
    assert {one.id for one in of_images.run(query="a red bicycle")["documents"]} == {"red", "blue"}
    with pytest.raises(oneword.Error, match="expected one of query, query_embedding, image, found none"):
        retriever.run()
    document_store.write_documents(given, DuplicatePolicy.OVERWRITE)  # embedded by the collection's model
    assert retriever.run(image=blob)["documents"][0].id == "blue"


def test_pipelines_as_yaml(document_store: OnewordDocumentStore) -> None:
    document_store.write_documents([Document(content="a dog", meta={"year": 1})])
    pipeline = Pipeline()
    pipeline.add_component("embedder", OnewordTextEmbedder("hash"))
    filters = {"field": "meta.year", "operator": "==", "value": 1}
    pipeline.add_component("retriever", OnewordRetriever(document_store, filters, 3, {"diversity": 0.1}))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    written = pipeline.dumps()
    assert "OnewordDocumentStore" in written
    again = Pipeline.loads(written, allowed_modules=["oneword.integrations.haystack"])
    (found,) = again.run({"embedder": {"text": "a dog"}})["retriever"]["documents"]
    assert found.content == "a dog"
    again.get_component("retriever").document_store.close()
