from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Image
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.dual.loading import load_dual
from tests.engine.dual.checkpoints import MAKERS

SIZES = [(640, 480), (100, 100), (300, 40), (20, 300), (57, 113), (32, 32), (5, 3), (1, 400)]


@pytest.fixture(scope="session", params=list(MAKERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def encoder(folder: Path) -> DualEncoder:
    return load_dual(str(folder), device="cpu")


@pytest.fixture(scope="session")
def make() -> dict[str, Callable[[Path], Path]]:
    return MAKERS


@pytest.fixture(scope="session")
def images() -> list[Image]:
    noise = np.random.default_rng(7)
    return [
        Image(pixels=PIL.Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        for width, height in SIZES
    ]
