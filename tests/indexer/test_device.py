"""The encoder is never kept waiting by what can be done beforehand, and gets tiles where it wants no more."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Document, Image, Input, Text, encode
from oneword.engine.decoded import decode_image
from oneword.engine.e5v import load_e5v
from oneword.engine.encoder import tiler_of
from oneword.engine.errors import EncodingError
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Tiled
from oneword.engine.views import DEFAULT
from oneword.indexer import index_paths
from oneword.indexer.embed import Embedding
from oneword.indexer.pipeline import Local
from oneword.storage import Store
from tests.tiny import make_checkpoint


def run(*paths: Path, model: Any = "hash", group: int = 512) -> Any:
    return index_paths(paths, db="db", model=model, runner=Local(group=group))


def texts(folder: Path, *said: str) -> Path:
    path = folder / "t.csv"
    path.write_text("id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(said)))
    return path


class Held(HashEncoder):
    """Is not done with the first batch before a second group was begun."""

    def __init__(self) -> None:
        self.two_begun, self.encoded = threading.Event(), list[str]()

    def prepare(self, inputs: Sequence[Input], view: Any, side: Any) -> Any:
        self.encoded += [one.text for one in inputs if isinstance(one, Text)]
        return super().prepare(inputs, view, side)

    def forward(self, batch: Any) -> Any:
        assert self.two_begun.wait(60), "the next group waits until this one is done"
        return super().forward(batch)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    encoder, begin, begun = Held(), Embedding.begin, list[int]()

    def counted(self: Any, group: Any) -> Any:
        found = begin(self, group)
        begun.append(1)
        if len(begun) == 2:
            encoder.two_begun.set()
        return found

    monkeypatch.setattr(Embedding, "begin", counted)
    return encoder


def test_a_group_is_begun_while_the_one_before_is_encoded(tmp_path: Path, held: Held) -> None:
    assert run(texts(tmp_path, "first", "second", "third"), model=held, group=1).indexed == 3


def test_what_is_on_its_way_is_not_embedded_again(tmp_path: Path, held: Held) -> None:
    report = run(texts(tmp_path, "first", "first", "second", "first", "second"), model=held, group=1)
    assert (report.indexed, report.embedded, report.reused) == (5, 2, 3)
    assert sorted(held.encoded) == ["first", "second"]


def test_what_failed_on_its_way_fails_wherever_it_is(tmp_path: Path) -> None:
    class Picky(HashEncoder):
        def forward(self, batch: Any) -> Any:
            raise EncodingError("no vector", index=0)

    report = run(texts(tmp_path, "bad", "bad", "bad"), model=Picky(), group=1)
    assert (report.indexed, report.quarantined) == (0, 3)


def test_an_error_of_the_encoder_ends_the_job(tmp_path: Path) -> None:
    class Broken(HashEncoder):
        def forward(self, batch: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(texts(tmp_path, "one"), model=Broken())


@pytest.mark.parametrize("caption", [False, True])
def test_vectors_of_tiles_are_those_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caption: bool) -> None:
    encoder = load_e5v(str(make_checkpoint(tmp_path / "model")), device="cpu")
    folder, draw = tmp_path / "pictures", np.random.default_rng(2)
    folder.mkdir()
    for number, (width, height) in enumerate([(640, 480), (31, 200), (300, 40)]):
        PIL.Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        if caption:
            (folder / f"{number}.txt").write_text("a dog")
    seen: list[Input] = []
    prepare = encoder.prepare

    def watched(inputs: Sequence[Input], *rest: Any) -> Any:
        seen.extend(inputs)
        return prepare(inputs, *rest)

    monkeypatch.setattr(encoder, "prepare", watched)
    assert run(folder, model=encoder).indexed == 3
    assert all(isinstance(getattr(one, "image", one), Tiled) for one in seen)
    assert len(seen) == 3
    for item in (one for some in Store("db").open("default").scan(vectors=True) for one in some):
        picture = decode_image((folder / Path(item.uri).name).read_bytes(), "x").image
        whole = Document(image=picture, text="a dog") if caption else picture
        assert item.content_hash == whole.content_hash
        (expected,) = encode(encoder, [whole], DEFAULT)
        assert np.abs(np.asarray(item.vector) - expected).max() < 1e-3  # it is stored in half precision


def test_a_tiled_picture(tmp_path: Path) -> None:
    encoder = load_e5v(str(make_checkpoint(tmp_path)), device="cpu")
    PIL.Image.new("RGB", (640, 480), "teal").save(tmp_path / "p.png")
    data = (tmp_path / "p.png").read_bytes()
    whole = decode_image(data, "x")
    tiled = decode_image(data, "x", tiler=tiler_of(encoder))
    assert isinstance(tiled.image, Tiled)
    assert (tiled.image.size, tiled.image.content_hash) == (whole.image.size, whole.image.content_hash)
    assert tiled.thumbnail == whole.thumbnail
    assert (tiled.image.held, whole.image.held) == (5 * 56 * 56, 640 * 480)
    assert tiled.image == decode_image(data, "x", tiler=tiler_of(encoder)).image
    assert not hasattr(tiled.image, "pixels")
    assert tiler_of(HashEncoder()) is None
    assert np.array_equal(
        encode(encoder, [tiled.image], DEFAULT), encode(encoder, [Image(pixels=whole.image.pixels)], DEFAULT)
    )
