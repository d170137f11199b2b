"""Counting picture tokens from a size alone, for every shape."""

import itertools
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oneword.engine import Image, encode, views
from oneword.engine.e5v.image_processor import ImageProcessor

SIDES = st.integers(1, 20_000) | st.integers(1, 40)
EXTREME = [(20_000, 2), (2, 20_000), (1, 1), (1, 20_000), (20_000, 1), (3, 3), (3, 500), (500, 3), (2, 1)]


@pytest.fixture(scope="module")
def full_size(folder):
    """E5-V's geometry, without its weights: CLIP ViT-L/14-336, five grids."""
    return ImageProcessor(processor_of(folder, 336, 14, FIVE))


FIVE = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
GEOMETRIES = [
    (336, 14, FIVE, "default", 1),
    (60, 10, [(1, 1), (1, 4), *FIVE], "default", 1),
    (98, 32, [(height, width) for height in range(1, 5) for width in range(1, 5)], "default", 1),
    (56, 14, FIVE, "full", 0),  # a tower without a class token, such as SigLIP
    (56, 14, FIVE, "full", 1),
]


def processor_of(folder, side, patch, grids, strategy="default", extra=1):
    from transformers import AutoTokenizer, LlavaNextImageProcessorPil, LlavaNextProcessor

    grids = [[height * side, width * side] for height, width in grids]
    return LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": side},
            crop_size={"height": side, "width": side},
            image_grid_pinpoints=grids,
        ),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        patch_size=patch,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=extra,
    )


@pytest.fixture(scope="module", params=GEOMETRIES, ids=lambda one: f"{one[0]}/{one[1]}x{len(one[2])}{one[3]}{one[4]}")
def processor(request, folder):
    return processor_of(folder, *request.param)


def packed(size, grids, side, patch):
    """How many features transformers' model itself makes of a picture of this size."""
    from transformers.models.llava_next.modeling_llava_next import (
        LlavaNextModel,
        image_size_to_num_patches,
    )

    class Stand:  # what `pack_image_features` reads of a model
        class config:  # noqa: N801
            image_grid_pinpoints = grids

            class vision_config:  # noqa: N801
                image_size, patch_size = side, patch

    width, height = size
    tiles = image_size_to_num_patches((height, width), grids, side)
    features = torch.zeros(tiles, (side // patch) ** 2, 1)
    out, _ = LlavaNextModel.pack_image_features(
        Stand(), [features], [(height, width)], "default", image_newline=torch.zeros(1)
    )
    return len(out[0]), tiles


@given(SIDES, SIDES)
@example(640, 480)
@example(20_000, 2)
@example(2, 20_000)
@example(1, 1)
@settings(max_examples=300)
def test_the_count_is_the_models_own(full_size, width, height):
    grids = [list(grid) for grid in full_size.tiles.grids]
    tokens, tiles = packed((width, height), grids, 336, 14)
    assert full_size.tokens((width, height)) == tokens
    assert full_size.tiles.count((width, height)) == tiles


@given(width=SIDES, height=SIDES)
@settings(max_examples=200)
def test_the_count_is_the_processors_own(processor, width, height):
    expected = processor._get_num_multimodal_tokens(image_sizes=[(height, width)]).num_image_tokens
    assert [ImageProcessor(processor).tokens((width, height))] == expected


@given(width=st.integers(1, 1000) | st.integers(1, 40), height=st.integers(1, 1000) | st.integers(1, 40))
@example(640, 480)
@example(1, 1)
@example(1000, 3)
@example(3, 1000)
@settings(max_examples=20)
def test_tiles_are_the_processors_own(processor, width, height):
    """Byte for byte."""
    noise = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = PIL.Image.fromarray(noise)
    raw = {"do_rescale": False, "do_normalize": False, "do_pad": False}
    (expected,) = processor.image_processor(images=[picture], **raw)["pixel_values"]
    tiles = ImageProcessor(processor).tiles(picture)
    assert tiles.dtype == np.uint8
    assert np.array_equal(tiles, np.asarray(expected))


def test_figures_of_the_real_model(full_size):
    assert full_size.tokens((640, 480)) == 2340
    most = max(full_size.tokens(size) for size in itertools.product(range(300, 1400, 20), repeat=2))
    assert most == 2928


@pytest.mark.parametrize("size", EXTREME, ids=str)
def test_extreme_shapes_equal_plain_transformers(encoder, plain, size):
    width, height = size
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image(pixels=PIL.Image.fromarray(noise))
    assert np.abs(encode(encoder, [image], views.DEFAULT) - plain([image], views.DEFAULT)).max() <= 1e-5


def test_pixels_equal_the_processors(encoder, pictures):
    for image in pictures:
        whole = encoder.image_processor._settings(images=[image.pixels], return_tensors="pt")["pixel_values"][0]
        tiles = torch.from_numpy(encoder.image_processor.tiles(image.pixels))
        assert len(tiles) == encoder.image_processor.tiles.count(image.size)
        assert (encoder.image_processor.normalized(tiles, torch.float32) - whole).abs().max() <= 1e-6


def test_settings_are_plain_json_and_tell_what_changes_a_pixel(encoder):
    import json

    told = encoder.image_processor.settings()
    assert json.loads(json.dumps(told)) == told
    assert told["image_processor"] == "LlavaNextImageProcessorPil"
    for key in ("image_grid_pinpoints", "crop_size", "image_mean", "image_std", "resample", "rescale_factor"):
        assert key in told
    assert told["patch_size"] == 14
    assert told["num_additional_image_tokens"] == 1


def test_tiling_is_light_to_import():
    """The processes that decode pictures do it: torch would cost each of them seconds and hundreds of MiB."""
    program = "import sys, oneword.engine.e5v.tiling; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
