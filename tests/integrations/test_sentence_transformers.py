"""A model of ours in the hands of sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import semantic_search

from oneword.engine import Document, Image, Side, Text, encode, load
from oneword.engine.views import DEFAULT
from oneword.integrations.sentence_transformers import OnewordModule, as_sentence_transformer
from tests.integrations.conftest import RED

TEXTS = ["a red bicycle", "a blue boat", "a green tree"]


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return as_sentence_transformer(load("hash"))


def test_vectors_are_the_encoders_own(model: SentenceTransformer, tmp_path: Path) -> None:
    RED.save(tmp_path / "red.png")
    expected = encode(load("hash"), [Text(text=one) for one in TEXTS], DEFAULT)
    vectors = model.encode(TEXTS, batch_size=2)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert model.encode(TEXTS[0], convert_to_tensor=True).shape == (256,)
    assert model.get_embedding_dimension() == 256
    assert np.isfinite(model.encode("")).all()
    images = encode(load("hash"), [Image(pixels=RED), Document(image=Image(pixels=RED), text="red")], DEFAULT)
    np.testing.assert_allclose(model.encode([RED, RED]), images[[0, 0]], atol=1e-6)
    np.testing.assert_allclose(model.encode([{"image": RED, "text": "red"}])[0], images[1], atol=1e-6)
    assert model.similarity(vectors, vectors).diagonal().numpy() == pytest.approx(1)


def test_queries_have_a_side_of_their_own() -> None:
    encoder = load("mini")
    asymmetric = as_sentence_transformer(encoder)
    sides = {Side.QUERY: asymmetric.encode_query, Side.GALLERY: asymmetric.encode_document}
    for side, encoded in sides.items():
        expected = encode(encoder, [Text(text="a red circle")], DEFAULT, side)
        np.testing.assert_allclose(encoded(["a red circle"]), expected, atol=1e-5)


def test_where_one_of_theirs_is_expected(model: SentenceTransformer) -> None:
    corpus = {str(n): text for n, text in enumerate(TEXTS)}
    evaluator = InformationRetrievalEvaluator({"q": "the boat"}, corpus, {"q": {"1"}}, show_progress_bar=False)
    results = evaluator(model)
    assert results[evaluator.primary_metric] == 1.0
    (hits,) = semantic_search(model.encode_query(["a green tree"]), model.encode_document(TEXTS), top_k=1)
    assert hits[0]["corpus_id"] == 2


def test_it_is_kept_by_its_name(model: SentenceTransformer, tmp_path: Path) -> None:
    model.save(str(tmp_path / "model"))
    again = SentenceTransformer(str(tmp_path / "model"), device="cpu", trust_remote_code=True)
    assert isinstance(again[0], OnewordModule)
    assert again[0].model == "hash"
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))


def test_what_cannot_be_embedded(model: SentenceTransformer) -> None:
    with pytest.raises((TypeError, ValueError)):
        model.encode([{"audio": "x"}])
