"""Pictures that come from another process are the same, however they come."""

import io
import os

import numpy as np
import PIL.Image
import pytest

from oneword.engine import handover
from oneword.engine.decoded import DecodedImage, decode_image
from oneword.engine.e5v.tiling import Tiler
from oneword.engine.handover import Handover, Place, SharedImage, share
from oneword.engine.inputs import Tiled
from oneword.indexer.decode import Decoders


def photo(width: int = 33, height: int = 21) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def same(one: DecodedImage, other: DecodedImage) -> bool:
    return (
        one.image.pixels.tobytes() == other.image.pixels.tobytes()
        and one.image.size == other.image.size
        and one.image.content_hash == other.image.content_hash
        and one.thumbnail == other.thumbnail
    )


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux only")
def test_a_picture_is_laid_and_taken() -> None:
    whole = decode_image(photo(), "x")
    with Handover() as over:
        found = share(over.place, decode_image, photo(), "x")
        assert isinstance(found, SharedImage)
        taken = over.take(found)
    assert same(taken, whole)
    del vars(taken.image)["content_hash"]
    assert taken.image.content_hash == whole.image.content_hash, "it is that of the pixels"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux only")
def test_tiles_are_laid_and_taken() -> None:
    tiler = Tiler(side=8, grids=((8, 16), (16, 8)), resample=3)
    whole = decode_image(photo(), "x", tiler=tiler)
    with Handover() as over:
        found = share(over.place, decode_image, photo(), "x", 10_000, tiler)
        assert isinstance(found, SharedImage)
        taken = over.take(found)
    for one in (taken, Decoders(1, tiler=tiler)(photo(), "x")):
        assert isinstance(one.image, Tiled)
        assert isinstance(whole.image, Tiled)
        assert np.array_equal(one.image.tiles, whole.image.tiles)
        assert one.image.tiles.shape == (3, 3, 8, 8)
        assert one.image == whole.image


def test_another_file_of_that_number_is_left_alone() -> None:
    with Handover() as over, Handover() as other:
        if over.place is None or other.place is None:
            pytest.skip("Linux only")
        found = share(Place(path=other.place.path, name=over.place.name), decode_image, photo(), "x")
        assert isinstance(found, DecodedImage), "it comes through the pipe"
        assert os.stat(other.place.path).st_size == 0  # noqa: PTH116 - a path of /proc
    found = share(over.place, decode_image, photo(), "x")
    assert isinstance(found, DecodedImage), "the memory is gone"


def test_decoders_do_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders, whole = Decoders(1), decode_image(photo(900, 700), "x")
    assert same(decoders(photo(900, 700), "x"), whole)
    monkeypatch.delattr(handover.os, "memfd_create", raising=False)
    assert same(decoders(photo(900, 700), "x"), whole)
