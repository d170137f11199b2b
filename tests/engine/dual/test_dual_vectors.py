"""What is particular to two towers; `test_contract.py` compares their vectors."""

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Image, Text, encode, views
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.errors import ViewError
from oneword.engine.inputs import Tiled


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
    space = encoder.space(views.DEFAULT)
    assert space.preprocessing["text_tokens"] in (64, 77)
    assert encode(encoder, [Text(text="a")], views.DEFAULT).shape == (1, space.dimension)
