"""A decoded image with its thumbnail. Light to import: worker processes do."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import PIL.Image

from oneword.engine import facts as photographs
from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.encoder import Tiler
from oneword.engine.errors import ImageTooLarge
from oneword.engine.images import decode
from oneword.engine.inputs import Image, Tiled
from oneword.engine.pdf import Word

SIDE = 256
"""Longest side of a thumbnail, in pixels."""


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A decoded image with its thumbnail, a small JPEG.

    facts: what its file says of it, see `oneword.engine.facts`. about: what a document says of the page that it is.
    image_text: the text that it shows, as far as its file has it, with the words' boxes.
    """

    image: Image
    thumbnail: bytes
    facts: Mapping[str, photographs.Fact] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    image_text: str | None = None
    words: tuple[Word, ...] = ()


def decode_image(
    data: bytes,
    name: str,
    max_pixels: int = MAX_PIXELS,
    tiler: Tiler | None = None,
    *,
    facts: bool = False,
    page: int | None = None,
) -> DecodedImage:
    """Decodes and hashes an image, makes its thumbnail, and cuts tiles.

    Args:
        tiler: of the only encoder that will see the image; None keeps it whole.
        facts: read what its file says of it, too.
        page: of a TIFF, counted from 1; None: its first frame.

    Raises:
        InputError
    """
    try:
        pixels = decode(data, name=name, max_pixels=max_pixels, max_jpeg_pixels=MOST_PIXELS, page=page)
        return replace(finished(pixels, tiler), facts=photographs.read(data) if facts else {})
    except MemoryError:
        raise ImageTooLarge(f"{name}: does not fit into memory; scale it down first") from None


def finished(pixels: PIL.Image.Image, tiler: Tiler | None = None) -> DecodedImage:
    """Hashes an RGB image, makes its thumbnail, and cuts tiles. tiler: see `decode_image`."""
    image = Image(pixels=pixels)
    _ = image.content_hash  # here, where there may be other cores
    small = thumbnail(image.pixels)
    if tiler is not None:
        image = Tiled(tiles=tiler(image.pixels), size=image.size, content_hash=image.content_hash)
    return DecodedImage(image=image, thumbnail=small)


def thumbnail(image: PIL.Image.Image) -> bytes:
    """Returns a small JPEG of an RGB image: a tenth of the time that WebP takes, for a sixth more bytes."""
    scale = SIDE / max(*image.size, SIDE)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()
