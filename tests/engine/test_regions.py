"""A region of an image, in shares of its width and height."""

import math
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.errors import BadRegion
from oneword.engine.inputs import Image
from oneword.engine.regions import ROUNDING, box, region

shares = st.floats(-0.5, 1.5) | st.sampled_from([0.0, 1.0, 1e-300, 0.1, 0.9, math.nan, math.inf])
sides = st.integers(1, 50) | st.integers(1, 100_000)


@given(values=st.tuples(shares, shares, shares, shares), size=st.tuples(sides, sides))
def test_a_region_within_the_image_is_its_pixels_and_any_other_is_refused(values: Any, size: tuple[int, int]) -> None:
    left, top, width, height = values
    within = 0 <= left < 1 and 0 <= top < 1 and 0 < width <= 1 - left + ROUNDING and 0 < height <= 1 - top + ROUNDING
    if not within:
        with pytest.raises(BadRegion, match="expected left, top, width and height as shares of the image"):
            region(values)
        return
    first, upper, last, lower = box(region(list(values)), size)
    for start, end, share, length, whole in ((first, last, left, width, size[0]), (upper, lower, top, height, size[1])):
        assert 0 <= start < end <= whole, "never empty, never beyond the border"
        assert start <= share * whole + 1
        assert abs((end - start) - length * whole) <= 2, "to the pixel"


@pytest.mark.parametrize("wrong", [(), (0, 0, 1), (0, 0, 1, 1, 1), "0011", None, ["a", 0, 1, 1], [10**400, 0, 1, 1]])
def test_what_is_no_region(wrong: Any) -> None:
    with pytest.raises(BadRegion, match="crop"):
        region(wrong)


def test_a_cropped_image_is_those_pixels_and_knows_the_whole() -> None:
    pixels = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    whole = Image(pixels=PIL.Image.fromarray(pixels))
    part = whole.cropped((0.25, 0.5, 0.5, 0.5))
    assert np.array_equal(np.asarray(part.pixels), pixels[2:4, 2:6])
    assert part.region_of == whole.content_hash != part.content_hash
    assert part.content_hash == Image(pixels=PIL.Image.fromarray(pixels[2:4, 2:6])).content_hash
    assert whole.cropped((0, 0, 1, 1)).content_hash == whole.content_hash
