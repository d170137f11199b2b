"""RAW photographs: the preview that the camera put into the file, else a development at half size, by LibRaw (rawpy).

Extensions and signatures are those of LibRaw's supported cameras; TIFF tags are Adobe's (TIFF 6.0, DNG 1.7).
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import PIL.Image

from oneword.engine.errors import CorruptImage, ImageTooLarge, NotAnImage

if TYPE_CHECKING:
    import rawpy

EXTENSIONS = frozenset(".dng .nef .nrw .cr2 .cr3 .arw .raf .orf .rw2 .pef .srw".split())
"""Of RAW files, in lower case."""

LEAST_SIDE = 1000
"""Pixels of a preview's longer side; a smaller one is a thumbnail, and the photograph is developed instead."""

_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
_MAKERS = (b"Canon", b"NIKON", b"SONY", b"PENTAX", b"RICOH", b"SAMSUNG")
_SUBFILE, _MAKE, _DNG = 254, 271, 50706


def is_raw(data: bytes) -> bool:
    """Whether bytes are a RAW photograph.

    Most are TIFFs: of DNG by a tag; of cameras by their maker, where the first image is of reduced size.
    """
    if data.startswith(_SIGNATURES) or data[4:12] == b"ftypcrx " or (data[:4] == b"II*\0" and data[8:10] == b"CR"):
        return True
    first = dict(_entries(data))
    if _DNG in first:
        return True
    at = int.from_bytes(first.get(_MAKE, b""), "little" if data[:2] == b"II" else "big")
    return first.get(_SUBFILE, b"\0").strip(b"\0") == b"\1" and data[at : at + 8].startswith(_MAKERS)


def _entries(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags of a TIFF's first directory, with the four bytes that are their value or its offset."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return
    order = "<" if data[:2] == b"II" else ">"
    with contextlib.suppress(struct.error):  # it ends early
        (at,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for number in range(count):
            tag, value = struct.unpack_from(f"{order}H6x4s", data, at + 2 + 12 * number)
            yield tag, value


def developed(data: bytes, name: str, max_pixels: int) -> bytes:
    """Returns a RAW photograph as a JPEG, which LibRaw gives the photograph's orientation, or as an upright PPM.

    Raises:
        NotAnImage: the extra is not installed.
        ImageTooLarge: its sensor has more pixels than `max_pixels`, and it has no preview.
        CorruptImage
    """
    try:
        import rawpy
    except ImportError:
        raise NotAnImage(f"{name}: is a RAW photograph; to read it, install oneword[raw]") from None
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            if (preview := _preview(raw)) is not None:
                return preview
            width, height = raw.sizes.raw_width, raw.sizes.raw_height
            if width * height > max_pixels:
                raise ImageTooLarge(
                    f"{name}: {width}x{height} is {width * height:,} pixels: expected at most {max_pixels:,}; "
                    "develop it with another program"
                )
            pixels = raw.postprocess(half_size=True, use_camera_wb=True)
            height, width = pixels.shape[:2]
            ppm: bytes = b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()
            return ppm
    except rawpy.LibRawError as error:
        reason = str(error).removeprefix("b'").removesuffix("'")  # its messages are bytes
        raise CorruptImage(
            f"{name}: the RAW photograph cannot be read (LibRaw: {reason}); develop it with another program"
        ) from error


def _preview(raw: "rawpy.RawPy") -> bytes | None:
    """The preview in a file, a JPEG, unless it is small."""
    import rawpy

    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumb.format != rawpy.ThumbFormat.JPEG:
        return None
    try:
        with PIL.Image.open(io.BytesIO(thumb.data), formats=("JPEG",)) as image:
            return bytes(thumb.data) if max(image.size) >= LEAST_SIDE else None
    except Exception:  # a plugin may raise anything
        return None
