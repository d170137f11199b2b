"""Embedding a data set once: what was embedded is kept on disk, chunk by chunk."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import encode
from oneword.engine.inputs import Input
from oneword.engine.views import View

CHUNK = 256  # inputs that are in memory at once, and in one file
Progress = Callable[[int, int], None]


class VectorCache:
    """Embeds, and keeps the vectors under their content and space, so that nothing is embedded twice.

    A run that was stopped goes on after the last whole chunk. Files can be deleted at any time.

    Args:
        encoder: the model.
        folder: where the files lie; None keeps nothing.
        progress: told how many of how many inputs are done.
    """

    def __init__(self, encoder: Encoder, folder: Path | None = None, progress: Progress | None = None) -> None:
        self.encoder = encoder
        self.folder = folder
        self._progress = progress
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def preprocessing(self, view: View) -> str:
        """Of pictures, as `EngineConfig.preprocessing` names it."""
        return str(self.encoder.space(view).preprocessing.get("assembly", "standard"))

    def embed(
        self, inputs: Sequence[Callable[[], Input]], view: View, side: Side = Side.GALLERY, *, unit: bool = True
    ) -> Vectors:
        """float32 (n, d).

        Args:
            inputs: each is called when its turn comes: pictures need not be in memory together.
            unit: of unit length; else as long as the model makes them.
        """
        vectors = np.empty((len(inputs), self.encoder.dimension), dtype=np.float32)
        for start in range(0, len(inputs), CHUNK):
            chunk = [make() for make in inputs[start : start + CHUNK]]
            vectors[start : start + len(chunk)] = self._chunk(chunk, view, side, unit=unit)
            if self._progress:
                self._progress(start + len(chunk), len(inputs))
        return vectors

    def _chunk(self, chunk: Sequence[Input], view: View, side: Side, *, unit: bool) -> Vectors:
        if self.folder is None:
            return encode(self.encoder, chunk, view, side, unit=unit)
        key = hashlib.sha256(f"{self.encoder.space(view).fingerprint} {side} {unit}".encode())
        for one in chunk:
            key.update(one.content_hash.encode())
        path = self.folder / f"{key.hexdigest()[:40]}.npy"
        if path.exists():
            known: Vectors = np.load(path)
            return known
        made = encode(self.encoder, chunk, view, side, unit=unit)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, made)
        partial.replace(path)
        return made
