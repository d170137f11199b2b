"""Regions of an image, in shares of its width and height: the same whatever size the image is sent or shown in."""

import math
from collections.abc import Sequence

from oneword.engine.errors import BadRegion

Region = tuple[float, float, float, float]
"""(left, top, width, height) in shares of an upright image, 0 to 1."""

ROUNDING = 1e-6
"""How far a region may reach beyond the border: 0.1 + 0.9 need not be 1 where shares were computed."""


def region(values: Sequence[float]) -> Region:
    """Returns a checked region.

    Args:
        values: left, top, width and height, each a share of the image: 0 <= left < 1, 0 < width <= 1 - left, and so on.

    Raises:
        BadRegion: something else.
    """
    try:
        left, top, width, height = map(float, () if isinstance(values, str | bytes) else values)
    except (TypeError, ValueError, OverflowError):
        left = top = width = height = math.nan
    inside = (start >= 0 and 0 < length <= 1 - start + ROUNDING for start, length in ((left, width), (top, height)))
    if all(inside) and left < 1 and top < 1:  # not for NaN
        return left, top, width, height
    raise BadRegion(
        f"crop {str(values)[:80]}: expected left, top, width and height as shares of the image, 0 to 1, that stay "
        "within it: [0.25, 0, 0.5, 1] is its middle half"
    )


def box(region: Region, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the pixels that a region touches, as Pillow's `crop` takes them: left, top, right, bottom; at least one.

    Args:
        region: checked.
        size: (width, height) of the image.
    """
    left, top, width, height = region
    edges = []
    for start, length, whole in ((left, width, size[0]), (top, height, size[1])):
        first = min(math.floor(start * whole + ROUNDING), whole - 1)
        last = math.ceil((start + length) * whole - ROUNDING)
        edges.append((first, min(max(last, first + 1), whole)))
    (x, right), (y, bottom) = edges
    return x, y, right, bottom
