import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.errors import BadSequence, BadText, BlankText, ZeroAreaImage
from oneword.engine.inputs import Composed, Document, Image, Interleaved, Text

visible = st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable())
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def images(draw: st.DrawFn) -> Image:
    width, height = draw(sizes)
    data = draw(st.binary(min_size=3 * width * height, max_size=3 * width * height))
    return Image(pixels=PIL.Image.frombytes("RGB", (width, height), data))


@given(first=visible, second=visible)
def test_texts_hash_by_content(first: str, second: str) -> None:
    assert (Text(text=first).content_hash == Text(text=second).content_hash) == (first == second)


@given(first=images(), second=images())
def test_images_hash_by_pixels_and_size(first: Image, second: Image) -> None:
    same = first.size == second.size and first.pixels.tobytes() == second.pixels.tobytes()
    assert (first.content_hash == second.content_hash) == same
    assert first.content_hash == Image(pixels=first.pixels.copy()).content_hash


def test_same_bytes_in_another_shape_are_another_picture() -> None:
    data = bytes(range(36))
    shapes = [(12, 1), (6, 2), (4, 3), (3, 4), (1, 12)]
    hashes = {Image(pixels=PIL.Image.frombytes("RGB", shape, data)).content_hash for shape in shapes}
    assert len(hashes) == len(shapes)


@given(image=images(), text=visible)
def test_kinds_never_collide(image: Image, text: str) -> None:
    kinds = [
        Text(text=text),
        image,
        Document(image=image, text=text),
        Composed(image=image, edit=text),
        Interleaved(pieces=[image, text]),
        Interleaved(pieces=[text, image]),
        Interleaved(pieces=[image, text, image]),
        Text(text=image.content_hash),
    ]
    assert len({one.content_hash for one in kinds}) == len(kinds)


def test_the_encoding_of_a_picture_does_not_matter(tmp_path) -> None:
    from oneword.engine.images import decode_file

    picture = PIL.Image.linear_gradient("L").convert("RGB")
    for name in ("a.png", "b.bmp", "c.tiff", "renamed.jpg"):
        picture.save(tmp_path / name, {"renamed.jpg": "PNG"}.get(name))
    hashes = {Image(pixels=decode_file(path)).content_hash for path in tmp_path.iterdir()}
    assert len(hashes) == 1


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\u3000"])
def test_blank_texts_are_refused(blank: str) -> None:
    picture = Image(pixels=PIL.Image.new("RGB", (2, 2)))
    for make in (
        lambda: Text(text=blank),
        lambda: Document(image=picture, text=blank),
        lambda: Composed(image=picture, edit=blank),
        lambda: Interleaved(pieces=[picture, blank]),
    ):
        with pytest.raises(BlankText, match="blank"):
            make()


def test_lone_surrogates_and_zero_area_are_refused() -> None:
    with pytest.raises(BadText, match="surrogate"):
        Text(text="caf\udce9")
    with pytest.raises(ZeroAreaImage, match="0x5"):
        Image(pixels=PIL.Image.new("RGB", (0, 5)))


def test_images_between_words_are_a_few_of_both() -> None:
    image = Image(pixels=PIL.Image.new("RGB", (2, 2)))
    for pieces in ([image], ["a", "b"], [], [image] * 17):
        with pytest.raises(BadSequence, match=f"{len(pieces)} pieces, .*expected 2 to 16 images and texts"):
            Interleaved(pieces=pieces)
    assert Interleaved(pieces=["a", "b", image, "c"]).pieces == ("a b", image, "c"), "texts side by side are one"


def test_other_modes_become_rgb() -> None:
    assert Image(pixels=PIL.Image.new("LA", (2, 2), (0, 0))).pixels.getpixel((0, 0)) == (255, 255, 255)
