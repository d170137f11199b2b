"""Pictures as when E5-V was measured, against arrangements written out and numbers of transformers 4.41.2.

`python benchmarks/published.py` compares whole vectors with that release itself.
"""

from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.engine import Image, encode, models, views
from oneword.engine.config import EngineConfig
from oneword.engine.e5v import load_e5v
from oneword.engine.e5v.assembly import PublishedImageProcessor, published_grid, published_packing, published_shape
from oneword.engine.errors import ModelError

GRIDS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
SIDES = st.integers(1, 3000) | st.integers(1, 40)


@pytest.fixture(scope="module")
def published(folder):
    return load_e5v(str(folder), device="cpu", preprocessing="as-published")


def config(side, patch, grids):
    return SimpleNamespace(image_grid_pinpoints=grids, vision_config=SimpleNamespace(image_size=side, patch_size=patch))


def packed(size, tiles, side=4, patch=2, grids=([4, 8], [8, 4], [8, 8])):
    """Numbers of features in their order; -1 is a newline. Feature 10 t + i is patch i of tile t."""
    features = torch.tensor([[[10.0 * t + i] for i in range((side // patch) ** 2)] for t in range(tiles)])
    made, lengths = published_packing(config(side, patch, list(grids)))(
        [features], torch.tensor([size]), "default", image_newline=torch.tensor([-1.0])
    )
    assert lengths.tolist() == [len(made[0])]
    return made[0][:, 0].tolist()


def test_two_tiles_beside_each_other_are_put_under_each_other():
    # Cut into tiles 1 | 2, and packed as 1 over 2; of that, the middle two rows are as wide for their height as 8x4.
    assert packed((4, 8), 3) == [0, 1, 2, 3, 12, 13, -1, 20, 21, -1]


def test_two_tiles_under_each_other_are_put_beside_each_other():
    # 10 11 20 21      of which the middle two columns are as high for their width as 4x8.
    # 12 13 22 23
    assert packed((8, 4), 3) == [0, 1, 2, 3, 11, 20, -1, 13, 22, -1]


def test_a_square_grid_stays():
    top, bottom = [10, 11, 20, 21, -1, 12, 13, 22, 23, -1], [30, 31, 40, 41, -1, 32, 33, 42, 43, -1]
    assert packed((8, 8), 5) == [0, 1, 2, 3, *top, *bottom]


@pytest.mark.parametrize(
    ("size", "tokens"),
    [  # (width, height) and what 4.41.2 makes of it: `python benchmarks/published.py`
        ((640, 480), 2340),
        ((480, 640), 2352),
        ((612, 612), 2928),
        ((500, 333), 976),
        ((333, 500), 984),
        ((300, 900), 792),
        ((900, 300), 776),
        ((800, 400), 876),
        ((50, 700), 648),
        ((57, 113), 1776),
    ],
)
def test_numbers_of_tokens_of_4_41_2(size, tokens):
    width, height = size
    rows, columns = published_grid((height, width), GRIDS, 336)
    down, across = published_shape((height, width), rows * 24, columns * 24)
    assert 24 * 24 + down * (across + 1) == tokens


def test_what_is_padding_is_worked_out_in_single_precision():
    # 95 / 152 * 24 is 15, so 16 of 48 rows would be left; with the reciprocal of 152 in float32 it is a little less.
    assert 95 * (24 / 152) == 15
    assert published_shape((95, 152), 48, 24) == (14, 24)
    assert published_shape((94, 152), 48, 24) == (14, 24)
    assert published_shape((96, 152), 48, 24) == (16, 24)


@given(SIDES, SIDES)
@settings(max_examples=200)
def test_the_count_is_that_of_what_is_packed(published, width, height):
    pictures = published.image_processor
    patches = pictures.side // 14
    features = torch.zeros(pictures.tiles.count((width, height)), patches**2, 1)
    pack = published_packing(config(pictures.side, 14, [list(grid) for grid in pictures.tiles.grids]))
    _, lengths = pack([features], [(height, width)], image_newline=torch.zeros(1))
    assert lengths.tolist() == [pictures.tokens((width, height))]


def test_odd_padding_lacks_a_pixel():
    sizes = {"size": {"shortest_edge": 4}, "crop_size": {"height": 4, "width": 4}, "image_grid_pinpoints": [[4, 8]]}
    cut = PublishedImageProcessor(**sizes)
    assert cut._get_padding_size((4, 5), (4, 8)) == ((0, 0), (1, 1))
    assert cut._get_padding_size((4, 6), (4, 8)) == ((0, 0), (1, 1))
    white = PIL.Image.new("RGB", (5, 4), "white")
    plain = {"do_rescale": False, "do_normalize": False, "do_pad": False, "do_convert_rgb": False}
    _, one, two = np.asarray(cut(images=[white], **plain)["pixel_values"][0])[:, 0]
    # Columns 0 and 6 of 7 are padding. The second tile, 3 wide and 4 high, is scaled to 4 by 5 and cropped.
    assert one.tolist() == [[0, 255, 255, 255]] * 4
    assert two.shape == (4, 4)
    assert (two[:, 0] > 200).all()
    assert (two[:, 3] < 128).all()


def test_only_grids_that_are_not_square_move(encoder, published, pictures):
    square, wide = (Image(pixels=pictures[0].pixels.resize(size)) for size in ((112, 112), (112, 56)))
    for picture, same in ((square, True), (wide, False)):
        one, other = (encode(model, [picture], views.DEFAULT) for model in (encoder, published))
        assert (np.abs(one - other).max() < 1e-6) == same
    batch = [*pictures, square, wide]
    alone = np.concatenate([encode(published, [one], views.DEFAULT) for one in batch])
    assert np.abs(encode(published, batch, views.DEFAULT) - alone).max() <= 1e-5


def test_it_is_another_space(encoder, published):
    one, other = (model.space(views.DEFAULT) for model in (encoder, published))
    assert one.fingerprint != other.fingerprint
    assert "assembly" not in one.preprocessing, "spaces of collections that exist stay as they are"
    assert other.preprocessing["assembly"] == "as-published"


def test_names(folder):
    with pytest.raises(ModelError, match="'sideways': expected standard or as-published"):
        load_e5v(str(folder), device="cpu", preprocessing="sideways")
    with pytest.raises(ModelError, match="model 'hash' has its own"):
        models.load(EngineConfig(model="hash", preprocessing="as-published"))
    assert models.load(EngineConfig(model=str(folder), device="cpu", preprocessing="as-published"))
