"""What holds for every loader: vectors of the format's own library, whatever the company, kept, stored and searched."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from safetensors.torch import load_file, save_file

import oneword
from oneword.engine import (
    Composed,
    Document,
    Encoder,
    EngineConfig,
    Image,
    Input,
    Interleaved,
    Side,
    Text,
    encode,
    load,
    views,
)
from oneword.engine.errors import WrongCheckpoint
from tests.engine import references
from tests.engine.dual.checkpoints import MAKERS as DUAL
from tests.engine.modular import folders as modular
from tests.engine.openclip.folders import MAKERS as OPEN_CLIP
from tests.engine.prompted.checkpoints import MAKERS as PROMPTED
from tests.engine.prompted.checkpoints import smolvlm
from tests.tiny import make_checkpoint

CLOSE = 1e-5
"""Largest absolute difference of two unit vectors in fp32."""

HALF = 1e-3
"""The same of a vector that is stored, in half precision."""

TEXTS = [
    "a dog",
    "A red BICYCLE, at the Harbour!",
    "ümlaut 日本語 🙂",
    "the night train waits behind " * 30,
    "a\n\nb\tc  d",
]


@dataclass(frozen=True)
class Kind:
    """A format: how a small model of it is made, and the library that its vectors must equal."""

    make: Callable[[Path], Path]
    reference: Callable[[Path], references.Reference]
    sees: bool = True


KINDS = {
    "llava-next": Kind(make_checkpoint, references.e5v),
    **{name: Kind(make, references.dual) for name, make in DUAL.items()},
    "modular-texts": Kind(modular.texts, references.modular, sees=False),
    "modular-pair": Kind(modular.pair, references.modular),
    "modular-joined": Kind(modular.joined, references.modular),
    "modular-conversing": Kind(modular.conversing, references.modular),
    **{name: Kind(make, references.chat) for name, make in PROMPTED.items()},
}
AUTO = {**PROMPTED, "smolvlm": partial(smolvlm, family="SmolVLM")}
VISION = {
    **{f"open-clip-{name}": Kind(make, references.open_clip) for name, make in OPEN_CLIP.items()},
    **{f"{name}-auto": Kind(make, partial(references.chat, auto=True)) for name, make in AUTO.items()},
}
"""What needs torchvision, which must not be there for the others: transformers takes other processors with it."""


@dataclass(frozen=True)
class Made:
    """A small model of a kind."""

    kind: Kind
    folder: Path
    encoder: Encoder


@pytest.fixture(scope="module", params=[*KINDS, *(pytest.param(name, marks=pytest.mark.vision) for name in VISION)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    kind = (KINDS | VISION)[request.param]
    folder = kind.make(tmp_path_factory.mktemp("contract") / request.param)
    return Made(kind, folder, load(EngineConfig(model=str(folder), device="cpu")))


@pytest.fixture(scope="module")
def inputs(made: Made) -> list[Input]:
    noise = np.random.default_rng(7)
    images = [
        Image(pixels=PIL.Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        for width, height in ((64, 48), (40, 91), (150, 33), (57, 57), (9, 7))
    ]
    texts: list[Input] = [Text(text=text) for text in TEXTS]
    both: list[Input] = [
        Document(image=images[0], text=TEXTS[1]),
        Composed(image=images[1], edit=TEXTS[0]),
        Interleaved(pieces=[images[0], "the sofa of this", images[3], "in the room of this"]),
        Interleaved(pieces=["as in", images[1], images[2]]),
    ]
    return [*texts, *images, *both, Document(image=images[2], text=TEXTS[3])] if made.kind.sees else texts


def test_vectors_are_the_librarys(made: Made, inputs: list[Input]) -> None:
    reference = made.kind.reference(made.folder)
    for side in Side:
        expected = np.stack([reference(item, side) for item in inputs])
        assert np.abs(encode(made.encoder, inputs, views.DEFAULT, side) - expected).max() <= CLOSE
    # The comparison means something only if different inputs end up apart.
    apart = np.abs(expected[:, None] - expected[None]).max(axis=2) + np.eye(len(inputs))
    assert apart.min() > 20 * CLOSE


def test_company_and_order_change_nothing(made: Made, inputs: list[Input]) -> None:
    alone = np.concatenate([encode(made.encoder, [item], views.DEFAULT) for item in inputs])
    together = encode(made.encoder, inputs, views.DEFAULT)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.abs(alone - together).max() <= CLOSE
    assert np.abs(alone - encode(made.encoder, inputs[::-1], views.DEFAULT)[::-1]).max() <= CLOSE


def test_a_moved_folder_keeps_its_space_and_other_weights_have_another(made: Made, tmp_path: Path) -> None:
    space = made.encoder.space(views.DEFAULT)
    assert json.loads(json.dumps(space.as_dict())) == space.as_dict()
    copy = shutil.copytree(made.folder, tmp_path / "copy")
    moved = load(EngineConfig(model=str(copy), device="cpu"))
    assert moved.space(views.DEFAULT).fingerprint == space.fingerprint
    texts: list[Input] = [Text(text=TEXTS[0])]
    assert np.array_equal(encode(moved, texts, views.DEFAULT), encode(made.encoder, texts, views.DEFAULT))
    path = next(copy.rglob("*.safetensors"))
    weights = load_file(path)
    name = max(weights, key=lambda name: weights[name].numel())
    save_file({**weights, name: weights[name] * 1.1}, path, metadata={"format": "pt"})
    other = load(EngineConfig(model=str(copy), device="cpu"))
    assert other.space(views.DEFAULT).fingerprint != space.fingerprint


def test_stored_and_searched(made: Made, inputs: list[Input], tmp_path: Path) -> None:
    with oneword.connect(tmp_path / "db") as db:
        collection = db.collection(model=str(made.folder))
        items: list[dict[str, Any]] = [{"id": text, "text": text} for text in TEXTS]
        images = [item for item in inputs if isinstance(item, Image)]
        collection.upsert([*items, *({"id": str(n), "image": image.pixels} for n, image in enumerate(images))])
        stored = collection.get(TEXTS[:1], include=("vector",))[TEXTS[0]].vector
        assert np.abs(np.asarray(stored) - encode(made.encoder, [Text(text=TEXTS[0])], views.DEFAULT)[0]).max() < HALF
        vectors = encode(made.encoder, [*(Text(text=text) for text in TEXTS), *images], views.DEFAULT)
        query = encode(made.encoder, [Text(text=TEXTS[2])], views.DEFAULT, Side.QUERY)[0]
        assert collection.search(TEXTS[2], limit=1).hits[0].score == pytest.approx(
            float((vectors @ query).max()), abs=HALF
        )


def test_what_is_missing_or_cut_off_is_named(made: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(made.folder, tmp_path / "copy")
    weights = next(copy.rglob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-5])
    with pytest.raises(WrongCheckpoint, match="its header promises"):
        load(EngineConfig(model=str(copy), device="cpu"))
    weights.unlink()
    with pytest.raises(WrongCheckpoint, match=r"weights are missing in .*expected .*safetensors"):
        load(EngineConfig(model=str(copy), device="cpu"))
    weights.write_bytes(whole)
    described = next(
        path for name in ("modules.json", "open_clip_config.json", "config.json") if (path := copy / name).exists()
    )
    described.write_text("[")
    with pytest.raises(WrongCheckpoint, match=f"{described.name}.* (cannot be read as JSON|is not a list of modules)"):
        load(EngineConfig(model=str(copy), device="cpu"))
