"""Vectors equal plain transformers', alone and in company."""

from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Composed, Document, Image, Text, encode, views
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.errors import ViewError
from oneword.engine.inputs import Tiled

CLOSE = 1e-5
TEXTS = [
    "a dog",
    "A red BICYCLE, at the Harbour!",
    "ümlaut 日本語 🙂",
    "the old man waits behind the lighthouse keeper " * 20,  # past every limit
    "a\n\nb\tc   d",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_equal_plain_transformers(encoder: DualEncoder, plain: Any, text: str) -> None:
    (vector,) = encode(encoder, [Text(text=text)], views.DEFAULT)
    assert np.abs(vector - plain[0](text)).max() <= CLOSE


def test_images_equal_plain_transformers(encoder: DualEncoder, plain: Any, images: list[Image]) -> None:
    for image in images[:-1]:
        (vector,) = encode(encoder, [image], views.DEFAULT)
        assert np.abs(vector - plain[1](image)).max() <= CLOSE, image.size


def test_documents_and_edits_are_sums(encoder: DualEncoder, plain: Any, images: list[Image]) -> None:
    both = plain[0]("a dog") + plain[1](images[0])
    both /= np.linalg.norm(both)
    for item in (Document(image=images[0], text="a dog"), Composed(image=images[0], edit="a dog")):
        (vector,) = encode(encoder, [item], views.DEFAULT)
        assert np.abs(vector - both).max() <= CLOSE


def test_company_and_order_change_nothing(encoder: DualEncoder, images: list[Image]) -> None:
    inputs: list[Any] = [*(Text(text=text) for text in TEXTS), *images]
    inputs += [Document(image=image, text=text) for image, text in zip(images, TEXTS, strict=False)]
    alone = np.concatenate([encode(encoder, [item], views.DEFAULT) for item in inputs])
    together = encode(encoder, inputs, views.DEFAULT)
    backwards = encode(encoder, inputs[::-1], views.DEFAULT)[::-1]
    assert np.abs(alone - together).max() <= CLOSE
    assert np.abs(alone - backwards).max() <= CLOSE
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-6)


def test_tiles_cut_elsewhere_give_the_same_vector(encoder: DualEncoder, images: list[Image]) -> None:
    for image in images:
        tiled = Tiled(tiles=encoder.tiler(image.pixels), size=image.size, content_hash=image.content_hash)
        whole, cut = encode(encoder, [image, tiled], views.DEFAULT)
        assert np.array_equal(whole, cut)


def test_special_tokens_in_a_text_are_plain_characters(encoder: DualEncoder) -> None:
    for special in ("<|endoftext|>", "</s>", "<eos>", "<pad>"):
        short, long = encode(
            encoder, [Text(text=f"a dog {special}"), Text(text=f"a dog {special} and a cat")], views.DEFAULT
        )
        assert np.abs(short - long).max() > 1e-3, special


def test_an_image_too_long_to_be_resized_whole(encoder: DualEncoder) -> None:
    for size in ((200_000, 1), (1, 200_000)):
        assert encode(encoder, [Image(pixels=PIL.Image.new("RGB", size, "red"))], views.DEFAULT).shape[0] == 1


def test_views_with_prompts_are_refused(encoder: DualEncoder) -> None:
    with pytest.raises(ViewError, match="reads no prompts"):
        encode(encoder, [Text(text="a")], views.CIRR)


def test_the_space_tells_what_changes_a_vector(encoder: DualEncoder) -> None:
    import json

    space = encoder.space(views.DEFAULT)
    assert json.loads(json.dumps(space.as_dict())) == space.as_dict()
    assert space.preprocessing["text_tokens"] in (64, 77)
    assert encode(encoder, [Text(text="a")], views.DEFAULT).shape == (1, space.dimension)
