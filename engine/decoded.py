"""A decoded image with its thumbnail. Light to import: worker processes do."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import PIL.Image

from oneword.engine import facts as photographs
from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.encoder import Tiler
from oneword.engine.errors import EngineError, ImageTooLarge
from oneword.engine.images import decode
from oneword.engine.inputs import Image, Tiled
from oneword.engine.pdf import Word

SIDE = 256
"""Longest side of a thumbnail, in pixels."""


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A decoded image with its thumbnail, a small JPEG.

    facts: what its file says of it, see `oneword.engine.facts`. about: what a document says of the page that it is.
    image_text: the text that it shows, as its file has it or as it was recognized, with the words' boxes; None: it was
        not looked for, or `unread` says why it could not be recognized.
    """

    image: Image
    thumbnail: bytes
    facts: Mapping[str, photographs.Fact] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    image_text: str | None = None
    words: tuple[Word, ...] = ()
    unread: str | None = None


def decode_image(
    data: bytes,
    name: str,
    max_pixels: int = MAX_PIXELS,
    tiler: Tiler | None = None,
    *,
    facts: bool = False,
    page: int | None = None,
    ocr: bool = False,
) -> DecodedImage:
    """Decodes and hashes an image, makes its thumbnail, and cuts tiles.

    Args:
        tiler: of the only encoder that will see the image; None keeps it whole.
        facts: read what its file says of it, too.
        page: of a TIFF, counted from 1; None: its first frame.
        ocr: recognize the text that it shows, too.

    Raises:
        InputError
    """
    try:
        pixels = decode(data, name=name, max_pixels=max_pixels, max_jpeg_pixels=MOST_PIXELS, page=page)
        return replace(finished(pixels, tiler, ocr=ocr), facts=photographs.read(data) if facts else {})
    except MemoryError:
        raise ImageTooLarge(f"{name}: does not fit into memory; scale it down first") from None


def finished(pixels: PIL.Image.Image, tiler: Tiler | None = None, *, ocr: bool = False) -> DecodedImage:
    """Hashes an RGB image, makes its thumbnail, cuts tiles, and recognizes text. tiler, ocr: see `decode_image`."""
    image = Image(pixels=pixels)
    _ = image.content_hash  # here, where there may be other cores
    small = thumbnail(image.pixels)
    if tiler is not None:
        image = Tiled(tiles=tiler(image.pixels), size=image.size, content_hash=image.content_hash)
    return DecodedImage(image=image, thumbnail=small, **(_recognized(pixels) if ocr else {}))


def _recognized(pixels: PIL.Image.Image) -> dict[str, Any]:
    """The fields of a decoded image that its text is in."""
    from oneword.engine import ocr

    try:
        text, words = ocr.read(pixels)
    except EngineError:
        raise
    except Exception as error:  # what recognizes text may raise anything, and must not cost the image
        return {
            "unread": f"its text cannot be recognized ({type(error).__name__}: {' '.join(str(error).split())[-200:]})"
        }
    return {"image_text": text, "words": words}


def thumbnail(image: PIL.Image.Image) -> bytes:
    """Returns a small JPEG of an RGB image: a tenth of the time that WebP takes, for a sixth more bytes."""
    scale = SIDE / max(*image.size, SIDE)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()
