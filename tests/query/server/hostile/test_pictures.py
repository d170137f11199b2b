"""Pictures that are bombs, broken, or none."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest

ROOM = 450
"""MiB that the service may take for a picture of 25 million pixels: it holds those of the file, a turned copy and RGB;
up to 15 bytes each, 360 MiB."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, data: bytes | None = None, *, depth: int = 8, kind: int = 2, more: bytes = b""
) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = zlib.compress(bytes(1000)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(image: PIL.Image.Image, form: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def rows(width: int, height: int, *, bytes_each: int) -> bytes:
    """Compressed black pixels, made without holding them."""
    packer, packed = zlib.compressobj(), b""
    for _ in range(height):
        packed += packer.compress(bytes(1 + width * bytes_each))
    return packed + packer.flush()


def ico(inner: bytes, count: int = 1) -> bytes:
    entries = b"".join(struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 6 + 16 * count) for _ in range(count))
    return struct.pack("<HHH", 0, 1, count) + entries + inner


def tiff(pages: int, *, loop: bool = False) -> bytes:
    """A chain of directories, each of one black pixel."""
    data = struct.pack("<2sHI", b"II", 42, 8)
    for page in range(pages):
        at = 8 + page * 90
        tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 4), (279, 1)]
        after = 8 if loop else (at + 90 if page + 1 < pages else 0)
        data += struct.pack("<H", 7) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        data += struct.pack("<I", after)
    return data


def frames(form: str, count: int) -> bytes:
    made = [PIL.Image.new("RGB", (64, 64), (number % 256, number // 256, 0)) for number in range(count)]
    return saved(made[0], form, save_all=True, append_images=made[1:])


def scans() -> bytes:
    data = saved(PIL.Image.new("RGB", (2000, 1500)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 2000 + data[-2:]


def claimed_webp() -> bytes:
    return (
        b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + b"\0" * 4
        + b"\xff" * 6
        + b"ALPH\0\0\0\0"
    )


WHOLE = saved(PIL.Image.fromarray(np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3)))

REFUSED: dict[str, Callable[[], bytes]] = {
    "100,000 x 100,000": lambda: png(100_000, 100_000),
    "2^31 x 2^31": lambda: png(2**31 - 1, 2**31 - 1),
    "over the cap, small": lambda: png(9_500, 9_500, zlib.compress(bytes(10_000_000), 9)),
    "nothing wide": lambda: png(0, 10),
    "WebP of 16 million a side": claimed_webp,
    "TIFF of 65,535 a side": lambda: (
        tiff(1)
        .replace(struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 10**6))
        .replace(struct.pack("<HHII", 257, 4, 1, 1), struct.pack("<HHII", 257, 4, 1, 10**6))
    ),
    "a sound icon, which a service does not take": lambda: ico(saved(PIL.Image.new("RGBA", (16, 16)))),
    "icon that hides a large one": lambda: ico(png(9_500, 9_500, rows(9_500, 9_500, bytes_each=3))),
    "GIF of 65,535 a side": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
    "PPM of 10^9 a side": lambda: b"P6\n1000000000 1000000000\n255\n" + bytes(100),
    "PPM of many digits": lambda: b"P6\n" + b"9" * 5000 + b" 1\n255\n",
    "a sound PPM, which a service does not take": lambda: b"P6\n1 1\n255\n" + bytes(3),
    "PPM of comments": lambda: b"P5\n" + b"#\n" * 1_000_000 + b"1 1\n255\n" + bytes(1),
    "PPM of odd numbers": lambda: b"P6\n1000 1000\n254\n" + bytes(3_000_000),
    "JPEG of 2,000 scans": scans,
    "BMP below zero": lambda: (
        saved(PIL.Image.new("RGB", (4, 4)), "BMP")[:18] + struct.pack("<ii", -(2**31), -(2**31)) + bytes(50)
    ),
    "cut off": lambda: WHOLE[: len(WHOLE) // 2],
    "cut off JPEG": lambda: saved(PIL.Image.open(io.BytesIO(WHOLE)), "JPEG")[:500],
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "XXE": lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "PDF": lambda: b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n%%EOF",
    "HTML": lambda: b"<script>alert(1)</script>",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "FLI": lambda: b"\0\0\0\0\x12\xaf" + bytes(200),
    "PSD": lambda: b"8BPS\0\x01" + bytes(30),
    "ImageMagick": lambda: b'push graphic-context\nfill url(https://127.0.0.1/"|id")\npop',
    "zeros": lambda: bytes(100_000),
}

TAKEN: dict[str, Callable[[], bytes]] = {
    "1 x 1": lambda: saved(PIL.Image.new("RGB", (1, 1))),
    "1 x 20,000": lambda: saved(PIL.Image.new("RGB", (1, 20_000))),
    "20,000 x 1": lambda: saved(PIL.Image.new("RGB", (20_000, 1))),
    "16 bits": lambda: png(5_000, 5_000, rows(5_000, 5_000, bytes_each=2), depth=16, kind=0),
    "transparent": lambda: png(5_000, 5_000, rows(5_000, 5_000, bytes_each=4), kind=6),
    "GIF of 500 frames": lambda: frames("GIF", 500),
    "WebP of 100 frames": lambda: frames("WEBP", 100),
    "10,000 directories": lambda: tiff(10_000),
    "directories in a ring": lambda: tiff(2, loop=True),
    "EXIF of 60 kB": lambda: saved(
        PIL.Image.new("RGB", (9, 9)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 60_000
    ),
    "a mirrored JPEG": lambda: saved(
        PIL.Image.new("RGB", (9, 9)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\xff\xff\0\0"
    ),
}


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(target: Any, name: str) -> None:
    before, image = target.peak, base64.b64encode(REFUSED[name]()).decode()
    target.check(target.post("/search", {"image": image}), 422, ("bad_image", "image_too_large"))
    assert target.peak < before + 300


@pytest.mark.parametrize("name", TAKEN)
def test_taken(target: Any, name: str) -> None:
    before, image = target.peak, base64.b64encode(TAKEN[name]()).decode()
    target.check(target.post("/search", {"image": image, "limit": 1}), 200)
    assert target.peak < before + ROOM


def test_bombs_in_every_place(target: Any) -> None:
    bomb = base64.b64encode(REFUSED["over the cap, small"]()).decode()
    before = target.peak
    target.check(target.post("/items", {"items": [{"image": bomb}] * 50}), 422, "image_too_large")
    asked = {"model": "hash", "input": [{"image": bomb}] * 50}
    target.check(target.call("POST", "/v1/embeddings", json=asked), 422, "image_too_large")
    answer = target.post("/search:batch", {"queries": [{"image": bomb}, {"text": "a"}]})
    assert [("error" in one) for one in target.check(answer, 200).json()["results"]] == [True, False]
    assert target.peak < before + 300


def test_pictures_that_are_too_much_together(target: Any) -> None:
    before = target.peak
    near = base64.b64encode(png(9_400, 9_400, rows(9_400, 9_400, bytes_each=1), kind=0)).decode()
    target.check(target.post("/search", {"parts": [{"image": near}] * 32}), 422, "image_too_large")
    assert target.peak < before + 300


@pytest.mark.parametrize("name", ["cat.svg", "cat.png.exe", "../../etc/passwd", "cat\\..\\x.png", "", "x" * 5000])
@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/x-sh", "image/gif", "nonsense"])
def test_what_a_file_is_called_says_nothing(target: Any, name: str, kind: str) -> None:
    files = {"image": (name, WHOLE, kind), "query": (None, json.dumps({"limit": 1}))}
    target.check(target.call("POST", "/v1/collections/c/search", files=files), (200, 400, 422))


def test_an_item_is_served_as_the_picture_that_it_is(target: Any) -> None:
    mixed = WHOLE + b"<html><script>alert(1)</script>"
    told = target.post("/items", {"items": [{"id": "both", "image": base64.b64encode(mixed).decode()}]})
    assert told.status_code == 200
    answer = target.call("GET", "/v1/collections/c/items/both/thumbnail")
    assert answer.headers["content-type"].startswith("image/")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in answer.content


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_texts_and_profiles_are_not_even_unpacked(target: Any, kind: bytes) -> None:
    bomb = png(4, 4, more=chunk(kind, b"a\0\0" + zlib.compress(bytes(200_000_000), 9)))
    target.check(target.post("/search", {"image": base64.b64encode(bomb).decode()}), 200)
