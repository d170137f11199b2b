"""Small pictures to show what was found."""

import io

import PIL.Image

SIDE = 256
"""Longest side of a thumbnail, in pixels."""


def thumbnail(picture: PIL.Image.Image) -> bytes:
    """A small JPEG of an RGB picture: a tenth of the time that WebP takes, for a sixth more bytes."""
    size = _fitted(picture.size)
    small = picture
    if size != picture.size:
        small = small.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    scale = SIDE / max(*size, SIDE)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
