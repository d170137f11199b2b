"""RAW photographs: of a DNG that the test writes, the preview if it is large enough, else a development."""

import io
import struct
import sys
from typing import TypeAlias

import numpy as np
import PIL.Image
import pytest

from oneword.engine import raw
from oneword.engine.errors import CorruptImage, ImageTooLarge, NotAnImage
from oneword.engine.facts import read
from oneword.engine.images import FORMATS, decode
from tests.photographs import exif, photograph, segment

Entry: TypeAlias = tuple[int, bytes, int]


def shorts(*values: int) -> Entry:
    return 3, struct.pack(f"<{len(values)}H", *values), len(values)


def longs(*values: int) -> Entry:
    return 4, struct.pack(f"<{len(values)}L", *values), len(values)


def text(value: str) -> Entry:
    return 2, value.encode() + b"\0", len(value) + 1


def ratios(kind: int, *values: int) -> Entry:
    return kind, b"".join(struct.pack("<ll", value, 1) for value in values), len(values)


def directory(at: int, entries: dict[int, Entry]) -> bytes:
    """A TIFF directory at an offset, with its values after it."""
    after = at + 2 + 12 * len(entries) + 4
    body, values = struct.pack("<H", len(entries)), b""
    for tag, (kind, value, count) in sorted(entries.items()):
        own = value if len(value) <= 4 else struct.pack("<L", after + len(values))
        values += b"" if len(value) <= 4 else value + b"\0" * (len(value) % 2)
        body += struct.pack("<HHL", tag, kind, count) + own.ljust(4, b"\0")
    return body + bytes(4) + values


def dng(preview: bytes = b"", orientation: int = 1, width: int = 64, height: int = 48) -> bytes:
    """A DNG whose sensor saw red, with a preview, if it is to have one."""
    sensor = np.full((height, width), 8000, np.uint16)
    sensor[0::2, 0::2] = 40_000
    data = sensor.tobytes() + preview + b"\0" * (len(preview) % 2)
    at = 8 + len(data)
    main = {
        254: longs(0), 256: longs(width), 257: longs(height), 258: shorts(16), 259: shorts(1), 262: shorts(32803),
        271: text("Maker"), 272: text("Model X"), 273: longs(8), 274: shorts(orientation), 277: shorts(1),
        278: longs(height), 279: longs(sensor.nbytes), 33421: shorts(2, 2), 33422: (1, bytes((0, 1, 1, 2)), 4),
        50706: (1, bytes((1, 4, 0, 0)), 4), 50708: text("Maker Model X"), 50717: longs(65_535),
        50721: ratios(10, 1, 0, 0, 0, 1, 0, 0, 0, 1), 50728: ratios(5, 1, 1, 1), 50778: shorts(21),
    }  # fmt: skip
    if not preview:
        return b"II*\0" + struct.pack("<L", at) + data + directory(at, main)
    main[330] = longs(0)
    inner = at + len(directory(at, main))
    main[330] = longs(inner)
    with PIL.Image.open(io.BytesIO(preview)) as image:
        size = image.size
    sub = {
        254: longs(1), 256: longs(size[0]), 257: longs(size[1]), 258: shorts(8, 8, 8), 259: shorts(7), 262: shorts(6),
        273: longs(8 + sensor.nbytes), 277: shorts(3), 278: longs(size[1]), 279: longs(len(preview)),
    }  # fmt: skip
    return b"II*\0" + struct.pack("<L", at) + data + directory(at, main) + directory(inner, sub)


PREVIEW = photograph(color="blue", size=(1200, 900))
WITH_EXIF = PREVIEW[:2] + segment(0xE1, exif({274: 1}).tobytes()) + PREVIEW[2:]


def looks(image: PIL.Image.Image) -> tuple[str, tuple[int, int]]:
    """Its strongest color, and its size."""
    means = np.asarray(image, int).mean(axis=(0, 1))
    return "red green blue".split()[int(means.argmax())], image.size


@pytest.mark.parametrize(
    ("preview", "orientation", "expected"),
    [
        (b"", 1, ("red", (32, 24))),
        (b"", 6, ("red", (24, 32))),
        (PREVIEW, 1, ("blue", (1200, 900))),
        (PREVIEW, 6, ("blue", (900, 1200))),
        (WITH_EXIF, 6, ("blue", (1200, 900))),
        (photograph(color="blue", size=(160, 120)), 1, ("red", (32, 24))),
    ],
)
def test_preview_or_development(preview: bytes, orientation: int, expected: tuple[str, tuple[int, int]]) -> None:
    pytest.importorskip("rawpy")
    data = dng(preview, orientation)
    assert looks(decode(data)) == expected
    assert read(data) == {"camera": "Model X", "orientation": orientation}


def test_the_caps_of_pixels_hold() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(ImageTooLarge, match=r"a\.dng: 64x48 is 3,072 pixels: expected at most 3,000"):
        decode(dng(), name="a.dng", max_pixels=3000)
    with pytest.raises(ImageTooLarge, match=r"1200x900 is 1,080,000 pixels"):
        decode(dng(PREVIEW), max_pixels=10_000)


def test_a_damaged_one_is_named() -> None:
    pytest.importorskip("rawpy")
    for data in (dng()[:4] + b"\xff\xff\xff\x7f" + dng()[8:], b"FUJIFILMCCD-RAW" + bytes(500), b"IIU\0" + bytes(90)):
        with pytest.raises((CorruptImage, NotAnImage), match=r"a\.raf: "):
            decode(data, name="a.raf")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(NotAnImage, match=r"a\.dng: is a RAW photograph; to read it, install oneword\[raw\]"):
        decode(dng(), name="a.dng")


def test_what_is_raw() -> None:
    plain = photograph("TIFF")
    nikon = b"MM\0*" + struct.pack(">LHHHLLHHLLL", 8, 2, 254, 4, 1, 1, 271, 2, 10, 38, 0) + b"NIKON CORP"
    assert raw.is_raw(dng())
    assert raw.is_raw(nikon)
    assert raw.is_raw(b"\0\0\0\x18ftypcrx \0\0\0\0")
    assert not raw.is_raw(plain)
    assert not raw.is_raw(nikon.replace(b"NIKON", b"Epson"))
    assert not raw.is_raw(photograph())
    assert not raw.is_raw(b"II*\0")
    with pytest.raises(CorruptImage):
        decode(dng(), formats=FORMATS)
