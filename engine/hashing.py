"""The model `hash`: no training, no weights, instant. For tests and dry runs: its vectors have no meaning.

Texts that share words are similar, and so are images that share colors at the same places; a text and an image are
unrelated.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import PIL.Image

from oneword.engine.encoder import Side, Vectors
from oneword.engine.errors import ViewError
from oneword.engine.inputs import Input, pieces
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View

DIMENSION = 256  # the first 192 are an 8x8 RGB thumbnail
_BATCH = 256


class HashEncoder:
    """Feature hashing of words and character trigrams, and an 8x8 thumbnail of an image."""

    name = "hash"
    dimension = DIMENSION
    chunk_tokens = 128
    tokenizer: str | None = None

    def space(self, view: View) -> Space:
        """Returns the space of the default view. Raises `ViewError` for others: the model reads no prompts."""
        if view.name != DEFAULT.name:
            raise ViewError(f"model 'hash' reads no prompts: expected view 'default', got {view.name!r}")
        return Space(
            model=self.name,
            revision="1",
            view=view,
            preprocessing={"miniature": 8, "ngram": 3},
            dimension=self.dimension,
        )

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Batches of up to 256 in the given order."""
        return [list(range(i, min(i + _BATCH, len(inputs)))) for i in range(0, len(inputs), _BATCH)]

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Vectors:  # noqa: ARG002
        """Returns the vectors, float32 (n, 256)."""
        return np.stack([_features(one) for one in inputs])

    def forward(self, batch: Vectors) -> Vectors:
        """Returns its argument: `prepare` did the work."""
        return batch

    def finish(self, raw: Vectors) -> Vectors:
        """Returns its argument: `prepare` did the work."""
        return raw


def _features(one: Input) -> Vectors:
    vectors = [_of_text(piece) if isinstance(piece, str) else _of_image(piece.pixels) for piece, _ in pieces(one)]
    total: Vectors = np.sum(vectors, axis=0, dtype=np.float32)
    return total


def _of_text(text: str) -> Vectors:
    lowered = text.lower()
    words = re.findall(r"\w+", lowered)
    trigrams = [lowered[i : i + 3] for i in range(max(1, len(lowered) - 2))]
    vector = np.zeros(DIMENSION, dtype=np.float32)
    for feature, weight in [(word, 3.0) for word in words] + [(gram, 1.0) for gram in trigrams]:
        slot = int.from_bytes(blake2b(feature.encode(), digest_size=4).digest()) % DIMENSION
        vector[slot] += weight
    return _unit(vector)


def _of_image(pixels: PIL.Image.Image) -> Vectors:
    miniature = np.asarray(pixels.resize((8, 8), PIL.Image.Resampling.BOX), dtype=np.float32)  # (8, 8, 3)
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: miniature.size] = miniature.ravel() - 127.5  # never zero: no byte is 127.5
    return _unit(vector)


def _unit(vector: Vectors) -> Vectors:
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit
