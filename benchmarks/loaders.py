"""Every loader, on a small checkpoint made from a real configuration, beside its own library: for encode.py.

The reference is the loop that the library's documentation shows: batches of 32 (8 for vision-language models) in the
order given, except that sentence-transformers, which is asked for all inputs at once, sorts texts itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import prompted
from card import Card
from numpy.typing import NDArray
from towers import Plain, tower

from oneword.engine import EngineConfig, Image, Input, Text, encode, load, views
from oneword.engine.dependencies import quiet
from tests.engine.dual.checkpoints import Sizes, clip, siglip2
from tests.engine.prompted.checkpoints import qwen

Encode = Callable[[list[Input]], NDArray[np.float32]]

SIZES = Sizes(text=tower(256, 1024, 6, 4), vision=tower(384, 1536, 6, 6, image_size=112, patch_size=16), dimension=384)
"""Two towers of half the depth and half the width of CLIP B/32."""

MINILM = tower(384, 1536, 6, 12, max_position_embeddings=512)
"""sentence-transformers/all-MiniLM-L6-v2, as its config.json describes it."""


def minilm(folder: Path) -> Path:
    """BERT and a mean of the tokens."""
    from tests.engine.modular.folders import texts

    return texts(folder, MINILM)


def pair(folder: Path) -> Path:
    """CLIP in the format of sentence-transformers, as BAAI/BGE-VL-base is."""
    from tests.engine.modular import folders

    return folders.pair(folder, SIZES)


class Modular:
    """sentence-transformers' `encode_document`, as its documentation shows: all inputs in one call."""

    def __init__(self, folder: Path, card: Card) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), device=str(card.device))

    def __call__(self, inputs: list[Input]) -> NDArray[np.float32]:
        """Returns unit vectors, float32 (n, d)."""
        given = [one.pixels if isinstance(one, Image) else one.text for one in inputs if isinstance(one, Image | Text)]
        vectors: NDArray[np.float32] = self.model.encode_document(
            given, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors


@dataclass(frozen=True)
class Loader:
    """A kind of model.

    Args:
        make: writes a checkpoint into a folder.
        reference: its own library.
        sees: whether it takes images.
    """

    make: Callable[[Path], Path]
    reference: Callable[[Path, Card], Encode]
    sees: bool = True


LOADERS: dict[str, Loader] = {
    "clip": Loader(lambda folder: clip(folder, SIZES), Plain),
    "siglip2": Loader(lambda folder: siglip2(folder, SIZES), Plain),
    "sentence_transformers": Loader(minilm, Modular, sees=False),
    "sentence_transformers_clip": Loader(pair, Modular),
    "qwen3_vl": Loader(lambda folder: qwen(folder, "Qwen3VL", prompted.SMALL), prompted.Plain),
}


def sides(name: str, folder: Path, card: Card) -> dict[str, Encode]:
    """Returns what embeds inputs, here ("ours") and by the model's own library ("reference")."""
    loader = LOADERS[name]
    with quiet():
        loader.make(folder)
        encoder: Any = load(EngineConfig(model=str(folder), device=card.device.type, dtype=card.dtype))
        plain = loader.reference(folder, card)
    return {"ours": lambda inputs: encode(encoder, inputs, views.DEFAULT), "reference": plain}
