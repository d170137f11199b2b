"""Decodes bytes or a file to an RGB image, or raises one named error.

Everything in the package decodes with this module, so that the same file gives the same pixels everywhere.
"""

import io
import math
import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from oneword.engine import effort, raw, tiff
from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.errors import (
    CorruptImage,
    EmptyFile,
    ImageError,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnreadableFile,
    ZeroAreaImage,
)

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .webp .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .jp2 .ico .tga "
    ".heic .heif .hif .avif .psd".split()
).union(raw.EXTENSIONS)
"""Extensions of image files, in lower case. The format is detected from the bytes."""

# Pillow warns of what it can read all the same (odd EXIF, odd TIFF tags); what it cannot read becomes an error here.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Pillow tries only the formats of EXTENSIONS. Some of its others run another program (EPS runs Ghostscript).
SAFE_FORMATS = tuple("JPEG PNG GIF WEBP BMP TIFF AVIF HEIF".split())
"""Formats that a service accepts from strangers: Pillow decodes these in C, in time proportional to their pixels."""

FORMATS = (*SAFE_FORMATS, *"DIB PPM JPEG2000 ICO PSD TGA".split())
"""All formats that Pillow decodes, in the order in which they are tried: TGA, which has no signature, is last."""

_UNSAFE = (b"\x00\x00\x01\x00", b"\x00\x00\x00\x0cjP  ", *(f"P{digit}\n".encode() for digit in range(1, 7)))
_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*", *_UNSAFE)
ORIENTATION = 0x0112  # of EXIF
_STRIP = 2**20
PIL.Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses twice that; lower caps are checked here
_WHITE = (255, 255, 255, 255)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis", b"MA1A", b"MA1B"}
_UNREAD = {
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\xfd7zX": "an xz archive: unpack it",
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"BZh": "compressed with bzip2: unpack it",
    b"%PDF": "a PDF: index it as a file of its own, or save its pages as images",
    b"<svg": "an SVG drawing: save it as PNG",
    **dict.fromkeys((b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "JPEG XL: convert it to JPEG or PNG"),
    b"8BPS": "a Photoshop document: save it as PNG or JPEG",
}
_heif_ready: bool | None = None


def decode_file(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> PIL.Image.Image:
    """Reads and decodes a file. Raises `UnreadableFile`, or what `decode` raises."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror or error})") from error
    return decode(data, name=str(path), max_pixels=max_pixels)


def decode(
    data: bytes,
    *,
    name: str = "the image",
    max_pixels: int = MAX_PIXELS,
    max_jpeg_pixels: int = 0,
    formats: Collection[str] = (*FORMATS, "RAW"),
    page: int | None = None,
) -> PIL.Image.Image:
    """Decodes an encoded image: upright (EXIF), RGB, transparency on white; the first frame, a PSD's composite.

    A JPEG of more than `MAX_PIXELS` is reduced while it is decoded, to a half, a quarter or an eighth of its width and
    height: no model sees more. The factor depends on its size alone.

    Args:
        data: the encoded bytes; the format is detected from them, not from a name.
        name: of the image, in errors.
        max_pixels: cap on width x height, checked before anything is decompressed; at most `MOST_PIXELS`.
        max_jpeg_pixels: cap for JPEGs, if it is higher.
        formats: accepted formats, by Pillow's names, in the order in which they are tried.
        page: of a TIFF, counted from 1, see `tiff.pages`; None: its first frame.

    Returns:
        A PIL image of mode RGB.

    Raises:
        EmptyFile, NotAnImage, TruncatedImage, CorruptImage, ZeroAreaImage, ImageTooLarge
    """
    if not data:
        raise EmptyFile(f"{name}: the file is empty (0 bytes): expected an image")
    if "RAW" in formats and raw.is_raw(data):
        data, formats = raw.developed(data, name, max_pixels), ("JPEG", "PPM")
    data = _readable(data)
    if _is_heif(data):
        _register_heif(name)
    if (icon := _icon_size(data)) and math.prod(icon) > max_pixels:
        raise ImageTooLarge(_too_large(name, f"{icon[0]}x{icon[1]} is {math.prod(icon):,} pixels", max_pixels))
    effort.check(data, name)
    try:
        image = opened(data, formats)
    except Exception as error:  # a plugin that chokes on a broken header may raise anything
        if "PPM" not in formats and (data.startswith(_UNSAFE) or effort.is_pnm(data)):
            raise NotAnImage(
                f"{name}: is a PNM, ICO or JPEG 2000 image, which is not taken here; save it as PNG"
            ) from None
        raise _failure(data, error, name, max_pixels) from error
    with image:
        try:
            if page is not None:
                tiff.turn_to(image, page)
        except ImageError as error:
            raise CorruptImage(f"{name}: {error}") from error
        except Exception as error:  # as above
            raise _failure(data, error, name, max_pixels, known=True) from error
        width, height = image.size
        if width == 0 or height == 0:
            raise ZeroAreaImage(f"{name}: {width}x{height} pixels: expected at least 1x1")
        if image.format in ("JPEG", "MPO"):
            max_pixels = max(max_pixels, max_jpeg_pixels)
        if width * height > max_pixels:
            raise ImageTooLarge(_too_large(name, f"{width}x{height} is {width * height:,} pixels", max_pixels))
        try:
            samples = tiff.samples(image)
            if (deep := tiff.deep_rgb(image, data, samples)) is not None:
                return to_rgb(_upright_as(deep, image))
            _reduce(image)
            image.load()
            tiff.check(image, samples)
            return to_rgb(_upright(image), samples)
        except ImageError as error:
            raise CorruptImage(f"{name}: {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # as above: OSError, SyntaxError, struct.error, zlib.error, ...
            raise _failure(data, error, name, max_pixels, known=True) from error


def opened(data: bytes, formats: Collection[str] = FORMATS) -> PIL.Image.Image:
    """Opens an image, of which only the header is read. Raises whatever Pillow's plugins do."""
    left_out = ("RAW",) if _heif_ready else ("RAW", "HEIF")
    return PIL.Image.open(io.BytesIO(_as_avif(data)), formats=[one for one in formats if one not in left_out])


def _readable(data: bytes) -> bytes:
    """Returns the same image in bytes that Pillow reads: it knows AVIF by one brand, and unpacks all texts of a PNG."""
    return _as_avif(_without_texts(data))


def _reduce(image: PIL.Image.Image) -> None:
    """Lets a JPEG be decoded at a half, a quarter or an eighth, so that it has no more pixels than others may."""
    width, height = image.size
    for scale in (2, 4, 8):
        if image.format in ("JPEG", "MPO") and math.prod(image.size) > MAX_PIXELS:
            image.draft(None, (width // scale, height // scale))  # None: the mode it has


def _without_texts(data: bytes) -> bytes:
    """Returns a PNG without its texts and color profile, which are not used.

    Pillow decompresses all of them, and refuses an image if one is larger than 1 MiB or all are larger than 64 MiB.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    view, at, kept, dropped = memoryview(data), 8, [memoryview(data)[:8]], False
    while at + 12 <= len(data):
        length, kind = int.from_bytes(view[at : at + 4]), bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP") and end <= len(data):
            dropped = True
        else:
            kept.append(view[at:end])
        at = end
        if kind == b"IEND":
            break
    kept.append(view[at:])
    return b"".join(kept) if dropped else data


def _brands(data: bytes) -> set[bytes]:
    """Returns the brands of an ISO media file (ISO/IEC 14496-12, 4.3): major and compatible ones."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4]), 1024, len(data))
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}


def _is_heif(data: bytes) -> bool:
    brands = _brands(data)
    return not brands & _AVIF_BRANDS and bool(brands & _HEIF_BRANDS)


def _as_avif(data: bytes) -> bytes:
    """Returns an AVIF image with a major brand that Pillow knows, if it has another one such as `mif1`."""
    brands = _brands(data)
    if brands & _AVIF_BRANDS and data[8:12] not in (b"avif", b"avis"):
        return data[:8] + (b"avis" if b"avis" in brands else b"avif") + data[12:]
    return data


def size_of(data: bytes, *, formats: Collection[str] = FORMATS) -> tuple[int, int]:
    """Returns (width, height) in pixels as the header claims, without decoding the image; (0, 0) if it claims none."""
    if icon := _icon_size(data):
        return icon
    try:
        effort.check(data, "")
        with opened(_readable(data), formats) as image:
            return image.size
    except Exception:  # `decode` names what is wrong
        return 0, 0


def _icon_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of the largest PNG in an ICO file; None if there is none.

    Pillow decodes an icon when it opens it, and trusts the sizes in the directory.
    """
    if not data.startswith(b"\x00\x00\x01\x00"):
        return None
    count = int.from_bytes(data[4:6], "little")
    offsets = (int.from_bytes(data[at : at + 4], "little") for at in range(18, min(6 + 16 * count, len(data)), 16))
    inner = (_header_size(data[offset : offset + 24]) for offset in offsets)
    return max(filter(None, inner), key=math.prod, default=None)


def to_rgb(image: PIL.Image.Image, samples: tiff.Samples | None = None) -> PIL.Image.Image:
    """Converts any mode to RGB: alpha on white, 16 bits scaled to 8, palettes and CMYK. samples: of a TIFF."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_gray(image, samples)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = PIL.Image.new("RGB", rgba.size)
        for box in _strips(rgba.size):
            strip = rgba.crop(box)
            ground = PIL.Image.new("RGBA", strip.size, _WHITE)
            rgb.paste(PIL.Image.alpha_composite(ground, strip).convert("RGB"), box[:2])
        return rgb
    return image.convert("RGB")


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yields boxes of whole rows, of about a million pixels: intermediate results of a whole image would not fit."""
    width, height = size
    rows = max(1, _STRIP // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _from_deep_gray(image: PIL.Image.Image, samples: tiff.Samples | None) -> PIL.Image.Image:
    """Converts 16-bit, 32-bit and float grayscale to 8 bits, by range: Pillow's own conversion would clip to white.

    Integers of a TIFF are taken to have the fewest usual bits that hold the largest one: microscopes and scanners write
    10 or 12 bits into 16 without a tag for it. Other integers have 16 bits. Floats are 0..1, 0..255, or stretched.
    """
    low, high = _range(image, samples)
    if image.mode == "F" and low >= 0 and high <= 1:
        scale, low = 255.0, 0.0
    elif low >= 0 and image.mode != "F" and samples is not None:
        scale, low = 255.0 / (2 ** tiff.bits_of(high, samples) - 1), 0.0
    elif low >= 0 and high <= 255 and not image.mode.startswith("I;16"):
        scale, low = 1.0, 0.0
    elif low >= 0 and high <= 65535 and image.mode != "F":
        scale, low = 255.0 / 65535.0, 0.0
    else:
        scale = 255.0 / (high - low) if high > low else 0.0
    rgb = PIL.Image.new("RGB", image.size)
    for box in _strips(image.size):
        gray = np.nan_to_num((_values(image, box, samples) - low) * scale, nan=0.0)
        eight = np.clip(255 - gray if samples and samples.white_is_zero else gray, 0, 255).round().astype(np.uint8)
        rgb.paste(PIL.Image.fromarray(eight).convert("RGB"), box[:2])
    return rgb


def _values(
    image: PIL.Image.Image, box: tuple[int, int, int, int], samples: tiff.Samples | None
) -> NDArray[np.float64]:
    """Returns the values of some rows: float64 (h, w). Pillow reads unsigned 32 bits as signed."""
    values = np.asarray(image.crop(box))
    return (values.view(np.uint32) if samples and samples.unsigned_32 else values).astype(np.float64)


def _range(image: PIL.Image.Image, samples: tiff.Samples | None) -> tuple[float, float]:
    """Returns the smallest and the largest finite value; (0, 0) if there is none."""
    low, high = math.inf, -math.inf
    for box in _strips(image.size):
        gray = _values(image, box, samples)
        finite = gray[np.isfinite(gray)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _upright_as(pixels: PIL.Image.Image, image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns pixels rotated by the EXIF orientation of the image that they were read from."""
    pixels.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return _upright(pixels)


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an image rotated by its EXIF orientation; broken EXIF is ignored."""
    try:
        return PIL.ImageOps.exif_transpose(image)
    except Exception:  # malformed EXIF raises anything
        return image


def _too_large(name: str, what: str, max_pixels: int) -> str:
    return f"{name}: {what}: expected at most {max_pixels:,}; scale it down first"


def _failure(data: bytes, error: Exception, name: str, max_pixels: int, *, known: bool = False) -> ImageError:
    """Returns the error for bytes that Pillow could not open or, if `known`, could not load."""
    unread = isinstance(error, PIL.UnidentifiedImageError)
    reason = "no format was recognized" if unread else _said(error)
    if isinstance(error, PIL.Image.DecompressionBombError):
        claimed = re.search(r"\d+", reason)
        what = f"claims {int(claimed[0]):,} pixels" if claimed else "claims more pixels than are decoded"
        return ImageTooLarge(_too_large(name, what, max_pixels))
    if 0 in (_header_size(data) or (1, 1)):
        width, height = _header_size(data) or (0, 0)
        return ZeroAreaImage(f"{name}: {width}x{height} pixels: expected at least 1x1")
    for start, what in _UNREAD.items():
        if data.startswith(start):
            return NotAnImage(f"{name}: is {what}")
    if not known and not data.startswith(_SIGNATURES) and data[4:8] not in (b"ftyp", b"jP  "):
        shown = ascii(data[:16])[2:-1]
        return NotAnImage(
            f"{name}: the bytes are not a known image format (they start with '{shown}'): "
            "expected JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or, with the 'heif' extra, HEIC"
        )
    if _ends_early(data) or any(sign in reason.lower() for sign in ("truncated", "not enough", "end of")):
        return TruncatedImage(f"{name}: the image ends early, after {len(data):,} bytes ({reason}); get it again")
    if unread:
        reason = "its header is broken, or it is a variant of the format that Pillow does not read"
    return CorruptImage(f"{name}: the image cannot be decoded ({reason}); save it again, or convert it")


def _said(error: Exception) -> str:
    """Returns an error's message in one line; some of Pillow's are bytes."""
    reason = error.args[0] if error.args else ""
    text = reason.decode("ascii", "replace") if isinstance(reason, bytes) else str(error)
    return " ".join(text.split()) or type(error).__name__


def _ends_early(data: bytes) -> bool:
    """Whether bytes that could not be decoded lack the end marker of their format."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-64:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") > len(data) - 8
    if data[4:8] in (b"ftyp", b"jP  "):  # boxes that each begin with their length
        at = 0
        while at + 8 <= len(data) and (length := int.from_bytes(data[at : at + 4])) >= 8:
            at += length
        return at > len(data)
    return len(data) < 64


def _header_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of a PNG, BMP, JPEG or PPM header; None for others and for truncated headers."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(b"BM") and len(data) >= 26:
        return int.from_bytes(data[18:22], "little"), int.from_bytes(data[22:26], "little")
    if data.startswith(b"\xff\xd8") and (frame := re.search(rb"\xff[\xc0-\xc2]..\x08(..)(..)", data, re.DOTALL)):
        return int.from_bytes(frame[2]), int.from_bytes(frame[1])
    if head := re.match(rb"P[1-6]\s+(\d{1,10})\s+(\d{1,10})\s", data):
        return int(head[1]), int(head[2])
    return None


def _register_heif(name: str) -> None:
    """Registers HEIC with Pillow, if the extra is installed. Pillow reads AVIF itself since 11.3."""
    global _heif_ready
    if _heif_ready is None:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            _heif_ready = False
        else:
            register_heif_opener()
            _heif_ready = True
    if not _heif_ready:
        raise NotAnImage(f"{name}: is HEIC/HEIF; to read it, install oneword[heif]")
