import numpy as np
import pytest

from oneword.engine import Text, encode, views
from oneword.engine.words import best, shared, speaker


def said(encoder, *inputs):
    return speaker(encoder).say(encode(encoder, inputs, views.DEFAULT))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chelsea.png", "Egyptian Mau"), ("coffee.png", "espresso"), ("motorcycle_left.png", "moped")],
)
def test_what_a_picture_shows(encoder, photo, name, expected):
    assert expected in [word.text for word in best(said(encoder, photo(name))[0], encoder.vocabulary, 5)]


def test_every_class_is_said_once(encoder, photo):
    scores = said(encoder, photo("chelsea.png"))
    assert scores.shape == (1, len(encoder.vocabulary))
    assert len(set(encoder.vocabulary)) == len(encoder.vocabulary) < 1000  # "missile" names two
    assert np.abs(scores).max() <= 1 + 1e-5


def test_what_a_picture_and_words_share(encoder, photo):
    cat, words = said(encoder, photo("chelsea.png"), Text(text="my pet kitten"))
    common = [word.text.lower() for word in shared(cat, words, encoder.vocabulary, 5)]
    assert any("cat" in word or "mau" in word for word in common)
