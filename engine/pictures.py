"""Decodes a picture, with all that it costs besides its vector. Light to import: worker processes do."""

from dataclasses import dataclass

from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.encoder import Tiler
from oneword.engine.errors import ImageTooLarge
from oneword.engine.images import decode
from oneword.engine.inputs import Image, Tiled
from oneword.engine.thumbnails import thumbnail


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture with its thumbnail, a small JPEG."""

    image: Image
    thumbnail: bytes


def decode_picture(data: bytes, name: str, max_pixels: int = MAX_PIXELS, tiler: Tiler | None = None) -> Picture:
    """Decodes, hashes, makes the thumbnail and cuts tiles: all that a picture costs besides its vector.

    Args:
        tiler: of the encoder that alone will see the picture; None keeps it whole.

    Raises:
        InputError
    """
    try:
        image = Image(pixels=decode(data, name=name, max_pixels=max_pixels, max_jpeg_pixels=MOST_PIXELS))
        _ = image.content_hash  # here, where there may be other cores
        small = thumbnail(image.pixels)
        if tiler is not None:
            image = Tiled(tiles=tiler(image.pixels), size=image.size, content_hash=image.content_hash)
        return Picture(image=image, thumbnail=small)
    except MemoryError:
        raise ImageTooLarge(f"{name}: does not fit into memory; scale it down first") from None
