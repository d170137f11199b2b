"""TIFFs of every depth and layout come out as the pixels that were put in, or are refused by name."""

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray

from oneword.engine.errors import CorruptImage, ImageError
from oneword.engine.images import decode

Y, X = np.mgrid[0:60, 0:80]
GREY = ((X * 3 + Y) % 256).astype(np.uint8)
RGB = np.stack([GREY, np.roll(GREY, 20, 1), 255 - GREY], -1)
OPAQUE = np.full_like(GREY, 255)


def deep(pixels: NDArray[Any], bits: int = 16) -> NDArray[np.uint16]:
    """8-bit values as those of so many bits, in 16."""
    return (pixels.astype(np.float64) / 255 * (2**bits - 1)).round().astype(np.uint16)


def planes(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(pixels, -1, 0)


COLOR: dict[str, Any] = {"photometric": "rgb"}
APART: dict[str, Any] = {**COLOR, "planarconfig": "separate"}
ALPHA: dict[str, Any] = {"extrasamples": ["unassalpha"]}

READ: dict[str, tuple[NDArray[Any], dict[str, Any], NDArray[Any]]] = {
    **{f"gray, {bits} bits": (deep(GREY, bits), {}, GREY) for bits in (8, 10, 12, 14, 16)},
    **{f"color, {bits} bits": (deep(RGB, bits), COLOR, RGB) for bits in (10, 12, 14, 16)},
    "gray, 12 bits, compressed": (deep(GREY, 12), {"compression": "zlib"}, GREY),
    "dark, its greatest value told": (deep(GREY // 32, 12), {"extratags": [(281, "H", 1, 4095, True)]}, GREY // 32),
    "white is zero": (65535 - deep(GREY), {"photometric": "miniswhite"}, GREY),
    "white is zero, 8 bits": (255 - GREY, {"photometric": "miniswhite"}, GREY),
    "white is zero, floats": (1 - GREY.astype(np.float32) / 255, {"photometric": "miniswhite"}, GREY),
    "planes": (planes(deep(RGB)), APART, RGB),
    "planes, 12 bits": (planes(deep(RGB, 12)), APART, RGB),
    "planes, many strips": (planes(deep(RGB)), {**APART, "rowsperstrip": 7}, RGB),
    "planes, 8 bits": (planes(RGB), APART, RGB),
    "planes, compressed": (planes(deep(RGB)), {**APART, "compression": "zlib"}, RGB),
    "planes, alpha": (planes(deep(np.dstack([RGB, OPAQUE]))), {**APART, **ALPHA}, RGB),
    "alpha": (deep(np.dstack([RGB, OPAQUE])), {**COLOR, **ALPHA}, RGB),
    "big-endian": (deep(RGB, 12), {**COLOR, "byteorder": ">"}, RGB),
    "BigTIFF": (deep(GREY), {"bigtiff": True}, GREY),
    "tiles": (deep(GREY), {"tile": (32, 32)}, GREY),
    "signed": ((deep(GREY) // 2).astype(np.int16), {}, GREY),
    "32 bits": (GREY.astype(np.uint32) * 16_843_009, {}, GREY),
    "floats": (GREY.astype(np.float32) / 255, {}, GREY),
    "CMYK": (np.dstack([255 - RGB, OPAQUE - 255]), {"photometric": "separated"}, RGB),
    "CMYK, 16 bits": (deep(np.dstack([255 - RGB, OPAQUE - 255])), {"photometric": "separated"}, RGB),
}


def written(pixels: NDArray[Any], options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


@pytest.mark.parametrize(("pixels", "options", "truth"), READ.values(), ids=READ)
def test_every_sound_variant_is_what_was_put_in(
    pixels: NDArray[Any], options: dict[str, Any], truth: NDArray[Any]
) -> None:
    truth = np.stack([truth] * 3, -1) if truth.ndim == 2 else truth
    found = np.asarray(decode(written(pixels, options))).astype(int)
    assert np.abs(found - truth).max() <= 1


REFUSED = {
    "planes in tiles": (planes(deep(RGB)), {**APART, "tile": (32, 32)}),
    "12 bits, compressed": (deep(RGB, 12), {**COLOR, "compression": "zlib"}),
    "floats": (RGB.astype(np.float32), COLOR),
    "double": (GREY / 255.0, {}),
}


@pytest.mark.parametrize(("pixels", "options"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_read_wrongly_is_refused(pixels: NDArray[Any], options: dict[str, Any]) -> None:
    with pytest.raises(CorruptImage, match=r"photo\.tif"):
        decode(written(pixels, options), name="photo.tif")


def test_a_cut_plane_is_told() -> None:
    data = written(planes(deep(RGB)), APART)
    with pytest.raises(ImageError, match="ends early"):
        decode(data[: len(data) // 2])


def test_orientation_holds(tmp_path: Any) -> None:
    data = written(planes(deep(RGB)), {**APART, "extratags": [(274, "H", 1, 6, True)]})
    assert decode(data).size == PIL.Image.open(io.BytesIO(data)).size[::-1]
