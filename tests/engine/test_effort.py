"""Small files that would decode for long are refused before they are decoded; sound ones of the same kinds are not."""

import io

import numpy as np
import PIL.Image
import pytest

from oneword.engine import effort
from oneword.engine.errors import CorruptImage
from oneword.engine.images import decode, size_of

PHOTO = PIL.Image.fromarray(np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3))


def jpeg(scans: int, size: tuple[int, int] | None = None) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many; claims to be of that size."""
    file = io.BytesIO()
    PHOTO.save(file, "JPEG", progressive=True)
    data = file.getvalue()
    there, last = data.count(b"\xff\xda"), data.rindex(b"\xff\xda")
    data = data[:-2] + data[last:-2] * (scans - there) + data[-2:]
    if size:
        at = data.index(b"\xff\xc2") + 5
        data = data[:at] + size[1].to_bytes(2) + size[0].to_bytes(2) + data[at + 4 :]
    return data


@pytest.mark.parametrize(
    ("scans", "size"), [(2000, None), (effort.MOST_SCANS + 1, None), (25, (9000, 9000)), (101, (2000, 1500))]
)
def test_a_jpeg_of_too_many_scans_is_refused(scans: int, size: tuple[int, int] | None) -> None:
    with pytest.raises(CorruptImage, match=r"a\.jpg: the JPEG has more than \d+ scans"):
        decode(jpeg(scans, size), name="a.jpg")
    assert size_of(jpeg(scans, size)) == (0, 0)


@pytest.mark.parametrize(("scans", "size"), [(10, None), (effort.MOST_SCANS, None), (24, (9000, 9000))])
def test_scans_that_a_size_allows_pass(scans: int, size: tuple[int, int] | None) -> None:
    effort.check(jpeg(scans, size), "a.jpg")


def test_a_jpeg_of_endless_markers_is_refused() -> None:
    with pytest.raises(CorruptImage, match="more than 10,000 segments"):
        effort.check(b"\xff\xd8" * 20_000, "a.jpg")


def test_scans_of_an_embedded_thumbnail_are_not_counted() -> None:
    file = io.BytesIO()
    PHOTO.save(file, "JPEG")
    inside = b"\xff\xda" * 600
    data = file.getvalue()
    data = data[:2] + b"\xff\xe1" + (len(inside) + 2).to_bytes(2) + inside + data[2:]
    assert decode(data).size == (64, 64)


@pytest.mark.parametrize(
    "data",
    [
        b"P6\n#" + b"x" * 100_000 + b"\n4 4\n255\n" + bytes(48),
        b"P5\n" + b"#\n" * 50_000 + b"4 4\n255\n" + bytes(16),
        b"P2\n4 4\n255\n" + b"#\n" * 50_000 + b"1 " * 16,
        b"P3\n4 4\n255\n" + b" " * 100_000 + b"1 " * 48,
        b"P1\n4 4\n" + b"# comment\n" * 10_000 + b"1 " * 16,
    ],
    ids=["long comment", "many comments", "comments among numbers", "blanks", "bits"],
)
def test_a_pnm_of_more_text_than_pixels_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptImage, match=r"^a\.ppm: .*; save it as PNG"):
        decode(data, name="a.ppm")


@pytest.mark.parametrize(
    "data",
    [
        b"P2\n# by hand\n4 4\n# white\n255\n" + b"  255\n" * 16,
        b"P6 4 4 255\n" + b"\xff" * 48,
        b"P1\n4 4\n" + b"0" * 16,
    ],
)
def test_a_sound_pnm_is_decoded(data: bytes) -> None:
    assert decode(data).getpixel((3, 3)) == (255, 255, 255)
