"""A unit vector read back through the output layer says what the whole model would have said."""

import numpy as np
import pytest
import torch

from oneword.engine import Composed, Text, encode, views
from oneword.engine.errors import NoWords
from oneword.engine.hashing import HashEncoder
from oneword.engine.prompted.tokens import LLAMA_3, fill
from oneword.engine.words import Word, best, shared, speaker


@pytest.fixture(scope="module")
def inputs(pictures):
    return [Text(text="a dog sleeps on the sofa"), pictures[0], Composed(image=pictures[1], edit="make it red")]


@pytest.fixture(scope="module")
def scores(encoder, inputs):
    return speaker(encoder).say(encode(encoder, inputs, views.DEFAULT))


def test_words_have_the_probabilities_of_the_whole_model(encoder, scores):
    text = "a dog sleeps on the sofa"
    ids = encoder.tokens.tokenizer(fill(LLAMA_3, views.DEFAULT.gallery.text).replace("<sent>", text))["input_ids"]
    with torch.no_grad():
        logits = encoder.network(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
    decode = encoder.tokens.tokenizer.decode
    for word, score in zip(encoder.vocabulary, scores[0], strict=True):
        tokens = [i for i in range(len(logits)) if decode([i]).strip().lower() == word]
        assert tokens
        assert score == pytest.approx(float(logits[tokens].sum()), abs=1e-5)


def test_scores_are_shares_of_one(scores, encoder, inputs):
    assert scores.shape == (len(inputs), len(encoder.vocabulary))
    assert scores.dtype == np.float32
    assert (scores >= 0).all()
    assert (scores.sum(1) <= 1 + 1e-5).all()


def test_length_says_nothing(encoder, inputs, scores):
    halves = encode(encoder, inputs, views.DEFAULT).astype(np.float16).astype(np.float32) * 0.3
    np.testing.assert_allclose(speaker(encoder).say(halves), scores, atol=2e-3)


def test_vocabulary_is_words(encoder):
    words = encoder.vocabulary
    assert len(set(words)) == len(words)
    assert all(word == word.lower().strip() and word.isalpha() for word in words)
    assert not [word for word in words if "<" in word or (len(word) < 2 and word.isascii())]


def test_best_and_shared():
    names = ["red", "blue", "circle", "big"]
    one, other = np.array([0.1, 0.6, 0.3, 0.1], np.float32), np.array([0.5, 0.0, 0.4, 0.1], np.float32)
    assert [word.text for word in best(one, names, 3)] == ["blue", "circle", "red"]  # a tie goes to the first
    assert [word.text for word in shared(one, other, names, 2)] == ["circle", "red"]
    assert len(best(one, names, 99)) == 4
    assert Word(text="a", score=1 / 3).as_dict() == {"text": "a", "score": 0.333333}


def test_hash_has_no_words():
    with pytest.raises(NoWords, match="'hash' has no words"):
        speaker(HashEncoder())
