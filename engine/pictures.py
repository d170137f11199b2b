"""Decodes a picture, with all that it costs besides its vector. Light to import: worker processes do."""

from dataclasses import dataclass

from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.errors import ImageTooLarge
from oneword.engine.images import decode
from oneword.engine.inputs import Image
from oneword.engine.thumbnails import thumbnail


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture with its thumbnail, a small JPEG."""

    image: Image
    thumbnail: bytes


def decode_picture(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes, hashes and makes the thumbnail: all that a picture costs besides its vector. Raises InputError."""
    try:
        image = Image(pixels=decode(data, name=name, max_pixels=max_pixels, max_jpeg_pixels=MOST_PIXELS))
        _ = image.content_hash  # here, where there may be other cores
        return Picture(image=image, thumbnail=thumbnail(image.pixels))
    except MemoryError:
        raise ImageTooLarge(f"{name}: does not fit into memory; scale it down first") from None
