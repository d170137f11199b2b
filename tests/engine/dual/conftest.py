from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from oneword.engine import Image
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.dual.loading import load_dual
from tests.engine.dual.checkpoints import MAKERS

torch.set_num_threads(1)

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


@pytest.fixture(scope="session")
def plain(folder: Path) -> Any:
    """Plain transformers, as its documentation has it: one input at a time."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    from oneword.engine.dependencies import quiet

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        model = AutoModel.from_pretrained(folder).eval()
    siglip = type(model).__name__.startswith("Siglip")

    @torch.no_grad()
    def text(words: str) -> np.ndarray:
        words = words.lower() if siglip else words  # as SigLIP 2 was trained
        padding = {"padding": "max_length", "max_length": 64} if siglip else {"padding": True}
        batch = tokenizer([words], truncation=True, return_tensors="pt", **padding)
        return torch.nn.functional.normalize(model.get_text_features(**batch).pooler_output)[0].numpy()

    @torch.no_grad()
    def image(picture: Image) -> np.ndarray:
        batch = processor(images=[picture.pixels], return_tensors="pt")
        return torch.nn.functional.normalize(model.get_image_features(**batch).pooler_output)[0].numpy()

    return text, image
