import contextlib
import io
import random
import struct
import zlib

import numpy as np
import PIL.features
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.engine.errors import (
    CorruptImage,
    EmptyFile,
    ImageError,
    ImageTooLarge,
    InputError,
    NotAnImage,
    TruncatedImage,
    UnreadableFile,
    ZeroAreaImage,
)
from oneword.engine.images import SAFE_FORMATS, decode, decode_file, size_of, to_rgb


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def photo() -> PIL.Image.Image:
    """A smooth gradient, so that lossy formats keep it."""
    x, y = np.meshgrid(np.linspace(0, 255, 60), np.linspace(0, 255, 40))
    return PIL.Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "JPEG2000", "TGA", "AVIF"])
def test_every_format_gives_the_same_picture(photo: PIL.Image.Image, kind: str) -> None:
    if kind == "AVIF" and not PIL.features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    image = decode(encoded(photo, kind))
    assert image.mode == "RGB"
    assert image.size == photo.size
    assert np.abs(np.asarray(image, int) - np.asarray(photo, int)).mean() < 12


@pytest.mark.parametrize("name", ["photo.txt", "photo.jpg", "photo"])
def test_the_bytes_decide_not_the_name(photo: PIL.Image.Image, tmp_path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(photo, "PNG"))
    assert decode_file(tmp_path / name).size == (60, 40)


def test_exif_orientation_turns_the_picture(photo: PIL.Image.Image) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise
    turned = decode(encoded(photo, "PNG", exif=exif))
    assert turned.size == (40, 60)
    assert np.array_equal(np.asarray(turned), np.rot90(np.asarray(photo), -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_lose_the_picture(photo: PIL.Image.Image) -> None:
    assert decode(encoded(photo, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x12")).size == (60, 40)


def test_transparency_lies_on_white() -> None:
    half = PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert decode(encoded(half, "PNG")).getpixel((0, 0)) == (255, 127, 127)
    for mode in ("LA", "PA"):
        clear = PIL.Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
        assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    palette = PIL.Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert decode(encoded(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    keyed = PIL.Image.new("RGB", (4, 4), (1, 2, 3))
    assert decode(encoded(keyed, "PNG", transparency=(1, 2, 3))).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    grey = np.asarray(decode(encoded(PIL.Image.fromarray(ramp), kind)))[0, :, 0]
    assert np.abs(grey.astype(int) - np.arange(256)).max() <= 1


def test_float_and_32_bit_grey_are_scaled() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(2, 0)
    assert np.abs(np.asarray(to_rgb(PIL.Image.fromarray(ramp)))[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    deep = (np.arange(256, dtype=np.int32) * 1_000_000)[None].repeat(2, 0)
    assert np.abs(np.asarray(to_rgb(PIL.Image.fromarray(deep)))[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    holed = PIL.Image.fromarray(np.full((2, 2), np.nan, dtype=np.float32))
    assert to_rgb(holed).getpixel((0, 0)) == (0, 0, 0)


def test_cmyk_greyscale_and_one_bit(photo: PIL.Image.Image) -> None:
    for mode, kind in [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "PNG"), ("1", "PNG"), ("LAB", "TIFF")]:
        image = decode(encoded(photo.convert(mode), kind))
        assert image.mode == "RGB"
        reference = np.asarray(photo.convert(mode).convert("RGB") if mode != "LAB" else photo, int)
        if mode != "LAB":
            assert np.abs(np.asarray(image, int) - reference).mean() < 8, mode


def test_an_animation_gives_its_first_frame() -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert decode(data).getpixel((4, 4)) == (255, 0, 0), kind


@pytest.mark.parametrize("size", [(1, 1), (20_000, 2), (2, 20_000), (1, 5000)])
def test_extreme_shapes_decode(size: tuple[int, int]) -> None:
    assert decode(encoded(PIL.Image.new("RGB", size), "PNG")).size == size


def test_bad_files_are_one_named_error_each(photo: PIL.Image.Image, tmp_path) -> None:
    png = encoded(photo, "PNG")
    zero = bytearray(png)
    zero[16:20] = bytes(4)
    cases = {
        EmptyFile: b"",
        NotAnImage: b"hello, this is a text that was renamed",
        TruncatedImage: png[: len(png) // 2],
        ZeroAreaImage: bytes(zero),
        CorruptImage: b"II*\x00" + b"\xff" * 500,
    }
    for expected, data in cases.items():
        with pytest.raises(InputError, match=r"^cat\.jpg: ") as caught:
            decode(data, name="cat.jpg")
        assert caught.type is expected
    with pytest.raises(UnreadableFile, match="No such file"):
        decode_file(tmp_path / "absent.png")
    with pytest.raises(UnreadableFile, match="directory"):
        decode_file(tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_a_file_cut_in_half_is_truncated(photo: PIL.Image.Image, kind: str) -> None:
    data = encoded(photo, kind)
    with pytest.raises(TruncatedImage):
        decode(data[: len(data) // 2])


def test_zero_area_in_other_formats(photo: PIL.Image.Image) -> None:
    bmp = bytearray(encoded(photo, "BMP"))
    bmp[18:22] = bytes(4)
    jpeg = bytearray(encoded(photo, "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = bytes(4)
    for data in (bytes(bmp), bytes(jpeg), b"P6 0 0 255\n"):
        with pytest.raises(ZeroAreaImage, match="expected at least 1x1"):
            decode(data)


def test_the_pixel_cap_holds_before_decoding() -> None:
    bomb = encoded(PIL.Image.new("1", (30_000, 30_000)), "PNG")
    assert len(bomb) < 200_000
    with pytest.raises(ImageTooLarge):
        decode(bomb)
    with pytest.raises(ImageTooLarge, match="100x100 is 10,000 pixels: expected at most 9,999"):
        decode(encoded(PIL.Image.new("RGB", (100, 100)), "PNG"), max_pixels=9_999)
    assert decode(encoded(PIL.Image.new("RGB", (100, 100)), "PNG"), max_pixels=10_000)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it then survives
@settings(max_examples=300)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]),
    cut=st.floats(0, 1),
    noise=st.integers(0, 2**32),
    flips=st.integers(0, 20),
)
def test_damaged_bytes_decode_or_raise_one_of_ours(kind: str, cut: float, noise: int, flips: int) -> None:
    data = bytearray(encoded(PIL.Image.linear_gradient("L").convert("RGB").resize((24, 24)), kind))
    rng = random.Random(noise)
    for _ in range(flips):
        data[rng.randrange(len(data))] = rng.randrange(256)
    data = data[: int(len(data) * cut)]
    with contextlib.suppress(ImageError, EmptyFile):
        assert decode(bytes(data), max_pixels=10_000_000).mode == "RGB"


@given(st.binary(max_size=200))
def test_random_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises((ImageError, EmptyFile)):
        decode(b"\x07" + data)


def test_heic_reads_with_the_extra(photo: PIL.Image.Image) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(photo).save(file, quality=95)
    image = decode(file.getvalue())
    assert image.size == photo.size
    assert np.abs(np.asarray(image, int) - np.asarray(photo, int)).mean() < 12


def psd(pixels: bytes, size: tuple[int, int], channels: int = 3) -> bytes:
    """A Photoshop document without layers, whose composite has these planes."""
    head = b"8BPS" + struct.pack(">H6xHLLHH", 1, channels, size[1], size[0], 8, 3)
    return head + bytes(12) + b"\0\0" + pixels


def test_a_photoshop_document_gives_its_composite() -> None:
    planes = np.moveaxis(np.full((12, 16, 3), (200, 100, 50), np.uint8), -1, 0).tobytes()
    assert decode(psd(planes, (16, 12))).getpixel((5, 5)) == (200, 100, 50)
    with pytest.raises(ImageTooLarge):
        decode(psd(b"", (60_000, 60_000)))
    with pytest.raises((CorruptImage, NotAnImage, TruncatedImage)):
        decode(psd(planes[:100], (16, 12)))
    with pytest.raises(NotAnImage, match="a Photoshop document"):
        decode(psd(planes, (16, 12)), formats=SAFE_FORMATS)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG", "MPO"])
def test_of_several_pages_or_frames_the_first_counts(kind: str) -> None:
    pages = [PIL.Image.new("RGB", (16, 12), color) for color in ("red", "blue", "green")]
    red = decode(encoded(pages[0], kind, save_all=True, append_images=pages[1:]))
    assert red.size == (16, 12)
    assert np.abs(np.asarray(red, int) - (255, 0, 0)).max() < 6


def test_an_icon_gives_its_largest_image() -> None:
    icon = encoded(PIL.Image.new("RGBA", (64, 64), "red"), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    assert decode(icon).size == (64, 64)


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    """A red PNG with more chunks after its header."""
    data = io.BytesIO()
    PIL.Image.new("RGB", (16, 12), "red").save(data, "PNG")
    more = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data.getvalue()[:33] + more + data.getvalue()[33:]


LARGE = {
    "a color profile": [(b"iCCP", b"ICC Profile\0\0" + zlib.compress(bytes(1_200_000)))],
    "a compressed text": [(b"zTXt", b"workflow\0\0" + zlib.compress(b"x" * 1_400_000))],
    "a text": [(b"iTXt", b"workflow\0\0\0\0\0" + b"x" * 1_400_000)],
    "many texts": [(b"tEXt", b"k%d\0" % at + b"x" * 900_000) for at in range(80)],
}


@pytest.mark.parametrize("chunks", LARGE.values(), ids=LARGE)
def test_what_nobody_asked_for_does_not_cost_a_png(chunks: list[tuple[bytes, bytes]]) -> None:
    assert decode(png_with(*chunks)).getpixel((3, 3)) == (255, 0, 0)
    assert size_of(png_with(*chunks)) == (16, 12), "else it would be decoded without being counted"
    with pytest.raises(TruncatedImage):
        decode(png_with(*chunks)[:-30])


@pytest.mark.parametrize("brand", [b"mif1", b"miaf", b"MA1A", b"MA1B", b"msf1"])
def test_avif_is_known_by_all_its_brands(brand: bytes) -> None:
    data = io.BytesIO()
    PIL.Image.new("RGB", (16, 12), "red").save(data, "AVIF")
    other = data.getvalue()[:8] + brand + data.getvalue()[12:]
    assert size_of(other) == (16, 12)
    red = decode(other).getpixel((3, 3))
    assert isinstance(red, tuple)
    assert red[0] > 250
    assert max(red[1:]) < 6


@pytest.mark.parametrize(
    ("start", "what"), [(b"PK\x03\x04", "a ZIP archive"), (b"%PDF-1.7", "a PDF"), (b"\xff\x0a\0\0", "JPEG XL")]
)
def test_what_is_no_image_is_called_what_it_is(start: bytes, what: str) -> None:
    with pytest.raises(NotAnImage, match=f"is {what}: "):
        decode(start + bytes(20))


def test_a_jpeg_beyond_the_cap_is_reduced_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    PIL.Image.new("RGB", (400, 300), "blue").save(data, "JPEG")
    with pytest.raises(ImageTooLarge):
        decode(data.getvalue(), max_pixels=50_000)
    monkeypatch.setattr("oneword.engine.images.MAX_PIXELS", 50_000)
    assert decode(data.getvalue(), max_pixels=50_000, max_jpeg_pixels=200_000).size == (200, 150)
    assert decode(data.getvalue(), max_pixels=200_000).size == (200, 150), "by its size alone"
