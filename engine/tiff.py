"""The pages of a TIFF; and its samples, where Pillow reads them wrongly or does not report them.

Tags and their values are TIFF 6.0's (Adobe, 1992, sections 8 and 19).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine.errors import CorruptImage

EXTENSIONS = frozenset({".tif", ".tiff"})
"""Of TIFFs, in lower case."""

_KIND = 254  # of an image: bit 0 is set for a smaller version of another one, bit 2 for a mask
_BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _COUNT, _SIZES = 258, 259, 262, 273, 277, 279
_MOST, _PLANAR, _TILES, _FORMAT = 281, 284, 322, 339
SIGNED = 2  # of _FORMAT
_MODES = {3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of one TIFF.

    bits: of each. kind: 1 whole numbers, 2 signed ones, 3 floats (SampleFormat). planes: each channel is separate.
    plain: neither compressed nor in tiles. most: the largest possible value, if the file has it.
    offsets, sizes: of its strips, in bytes.
    """

    bits: int
    channels: int
    kind: int
    is_rgb: bool
    planes: bool
    plain: bool
    tiled: bool
    white_is_zero: bool
    most: int | None
    little_endian: bool
    offsets: Sequence[int]
    sizes: Sequence[int]

    @property
    def is_deep_color(self) -> bool:
        """Whether it has 16 bits in each of several channels."""
        return self.bits == 16 and self.channels >= 3 and self.kind == 1 and self.is_rgb

    @property
    def unsigned_32(self) -> bool:
        """Whether they are whole numbers of 32 bits without a sign."""
        return self.bits == 32 and self.kind == 1


def pages(image: PIL.Image.Image) -> Iterator[int]:
    """The frames of an opened TIFF that are pages, and no smaller versions or masks of others; of other formats one.

    The image is left at the frame. Raises what Pillow does.
    """
    tags: Any = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        yield 0
        return
    number = found = 0
    while True:
        try:
            image.seek(number)
        except EOFError:
            break
        if not int(image.tag_v2.get(_KIND, 0)) & 0b101:  # type: ignore[attr-defined]
            found += 1
            yield number
        number += 1
    if not found:  # then the first is taken for one, whatever it says
        image.seek(0)
        yield 0


def turn_to(image: PIL.Image.Image, page: int) -> None:
    """Turns an opened image to a page, counted from 1. Raises CorruptImage: there is no such page."""
    if next(islice(pages(image), page - 1, None), None) is None:
        raise CorruptImage(f"there is no page {page}; index the file again")


def samples(image: PIL.Image.Image) -> Samples | None:
    """Returns the samples of an opened TIFF; None for an image of another format."""
    tags: Any = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return None
    bits = _all(tags.get(_BITS, 1))
    most = _all(tags.get(_MOST, ()))
    return Samples(
        bits=int(max(bits)),
        channels=int(tags.get(_COUNT, 1)),
        kind=int(_all(tags.get(_FORMAT, 1))[0]),
        is_rgb=tags.get(_PHOTOMETRIC) == 2,
        planes=tags.get(_PLANAR, 1) == 2,
        plain=tags.get(_COMPRESSION, 1) == 1 and _TILES not in tags,
        tiled=_TILES in tags,
        white_is_zero=tags.get(_PHOTOMETRIC) == 0,
        most=int(max(most)) if most else None,
        little_endian=tags.prefix == b"II",
        offsets=[int(one) for one in _all(tags.get(_OFFSETS, ()))],
        sizes=[int(one) for one in _all(tags.get(_SIZES, ()))],
    )


def deep_rgb(image: PIL.Image.Image, data: bytes, samples: Samples | None) -> PIL.Image.Image | None:
    """Returns a 16-bit color image that is not compressed as an 8-bit one; None for all others, which Pillow reads.

    Pillow reads separate planes as interleaved pixels, and takes the high byte of each sample, which is nearly empty
    where 10 or 12 bits are stored in 16.

    Raises:
        CorruptImage: data is missing.
    """
    if samples is None or not samples.is_deep_color or not samples.plain or samples.channels not in _MODES:
        return None
    (width, height), channels = image.size, samples.channels
    raw = b"".join(data[at : at + size] for at, size in zip(samples.offsets, samples.sizes, strict=False))
    if len(raw) < 2 * width * height * channels:
        raise CorruptImage(f"the image ends early, after {len(raw):,} bytes of its pixels; get it again")
    values: NDArray[np.uint16] = np.frombuffer(
        raw, "<u2" if samples.little_endian else ">u2", count=width * height * channels
    )
    values = (
        np.moveaxis(values.reshape(channels, height, width), 0, -1)
        if samples.planes
        else values.reshape(height, width, channels)
    )
    most = 2 ** bits_of(int(values.max()), samples) - 1
    eight = np.empty(values.shape, np.uint8)
    for row in range(height):  # a row at a time: no second image of 32 bits in memory
        eight[row] = (values[row].astype(np.uint32) * 255 + most // 2) // most
    return PIL.Image.fromarray(eight, _MODES[channels])


def check(image: PIL.Image.Image, samples: Samples | None) -> None:
    """Raises CorruptImage for a loaded TIFF that Pillow is known to read wrongly."""
    if samples is None or not samples.is_deep_color:
        return
    if samples.planes and samples.tiled:
        raise CorruptImage("its 16-bit channels are in tiles of planes, which are not read; save it without tiles")
    most = max(int(np.asarray(band).max()) for band in image.split()[:3])
    if 0 < most < 16 and not samples.plain:
        raise CorruptImage(
            "its 16-bit samples use 12 bits or fewer, which are not read where they are compressed; save it with 8 "
            "bits or without compression"
        )


def bits_of(highest: float, samples: Samples) -> int:
    """Returns the bits of values up to `highest`: the fewest usual ones, or as the file declares."""
    highest = max(highest, samples.most or 0)
    usual = (8, 10, 12, 14, 16, 24, 32)
    full = samples.bits - (samples.kind == SIGNED)  # what a file of all its bits has
    return next((bits for bits in sorted({*usual, full}) if highest < 2**bits), 32)


def _all(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else (value,)
