from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.encoder import Side
from oneword.engine.encoding import embed, encode
from oneword.engine.errors import DeviceOutOfMemory, EncodingError
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Image, Input, Text
from oneword.engine.views import DEFAULT

TEXTS = [Text(text=f"text number {i}") for i in range(23)]


class Fussy(HashEncoder):
    """Plans batches of 8, fits 3, and can be told to spoil an input."""

    def __init__(self, fits: int = 3, spoilt: str = "", value: float = np.nan) -> None:
        self.fits, self.spoilt, self.value = fits, spoilt, value
        self.sizes: list[int] = []

    def plan(self, inputs: Sequence[Input], view: Any, side: Any) -> list[list[int]]:
        order = sorted(range(len(inputs)), key=lambda i: inputs[i].content_hash)
        return [order[i : i + 8] for i in range(0, len(order), 8)]

    def prepare(self, inputs: Sequence[Input], view: Any, side: Any) -> Any:
        vectors = super().prepare(inputs, view, side)
        for i, one in enumerate(inputs):
            if isinstance(one, Text) and one.text == self.spoilt:
                vectors[i] = self.value
        return vectors

    def forward(self, batch: Any) -> Any:
        if len(batch) > self.fits:
            raise DeviceOutOfMemory("too much")
        self.sizes.append(len(batch))
        return batch


def test_batches_are_halved_until_they_fit_and_order_is_kept() -> None:
    encoder = Fussy()
    vectors = encode(encoder, TEXTS, DEFAULT)
    assert np.array_equal(vectors, encode(HashEncoder(), TEXTS, DEFAULT))
    assert max(encoder.sizes) <= 3
    assert sum(encoder.sizes) == len(TEXTS)


def test_one_input_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DeviceOutOfMemory):
        encode(Fussy(fits=0), TEXTS, DEFAULT)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_useless_vector_names_its_input(value: float) -> None:
    with pytest.raises(EncodingError, match="input 7") as caught:
        encode(Fussy(fits=8, spoilt="text number 7", value=value), TEXTS, DEFAULT)
    assert caught.value.index == 7


def test_an_error_in_preparation_reaches_the_caller() -> None:
    class Broken(HashEncoder):
        def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        encode(Broken(), TEXTS, DEFAULT)


def test_those_that_fail_fail_alone_and_nothing_is_embedded_twice() -> None:
    class Picky(Fussy):
        """A processor that refuses one text, whose model gives NaN for another."""

        def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
            if any(one.text == "text number 3" for one in inputs):
                raise ValueError("absolute aspect ratio\nmust be smaller")
            return super().prepare(inputs, view, side)

    encoder = Picky(fits=8, spoilt="text number 7")
    vectors, failed = embed({one.text: one for one in TEXTS}, encoder, DEFAULT)
    assert set(failed) == {"text number 3", "text number 7"}
    assert "refused by the model's processor (ValueError: absolute aspect ratio must be" in str(failed["text number 3"])
    assert "length nan: expected a finite" in str(failed["text number 7"])
    expected = encode(HashEncoder(), TEXTS, DEFAULT)
    assert all(
        np.array_equal(vectors[one.text], row) for one, row in zip(TEXTS, expected, strict=True) if one.text in vectors
    )
    assert len(vectors) == len(TEXTS) - 2
    assert sum(encoder.sizes) == len(TEXTS) - 1


def test_nothing_in_nothing_out() -> None:
    assert encode(HashEncoder(), [], DEFAULT).shape == (0, 256)


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()), min_size=1))
def test_vectors_are_unit_finite_and_independent_of_neighbors(texts: list[str]) -> None:
    inputs = [Text(text=text) for text in texts]
    vectors = encode(HashEncoder(), inputs, DEFAULT, Side.QUERY)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors[-1:], encode(HashEncoder(), inputs[-1:], DEFAULT, Side.QUERY))


def test_the_hash_model_tells_pictures_apart() -> None:
    import PIL.Image

    pictures = [Image(pixels=PIL.Image.new("RGB", (9, 9), colour)) for colour in ("red", "darkred", "blue")]
    red, dark, blue = encode(HashEncoder(), pictures, DEFAULT)
    assert red @ dark > red @ blue
