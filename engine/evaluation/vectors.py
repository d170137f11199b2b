"""Embedding a data set: decoded ahead, shared between processes, and kept on disk chunk by chunk."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from oneword.engine.encoder import Encoder, Side, Tiler, Vectors, tiler_of
from oneword.engine.encoding import Encoding
from oneword.engine.errors import ViewError
from oneword.engine.evaluation.processes import Processes
from oneword.engine.inputs import Composed, Document, Image, Input, Tiled
from oneword.engine.views import DEFAULT, View

CHUNK = 128
"""Inputs of one file of the cache. Up to twice as many are in memory: one chunk in the model, and the next one."""

DECODERS = 8
"""Most threads that decode images and cut tiles. Pillow does both outside the interpreter's lock."""

Progress = Callable[[int, int], None]


class VectorCache:
    """Embeds, and keeps the vectors under their content and space, so that nothing is embedded twice.

    A run that was stopped goes on after the last whole chunk. Files can be deleted at any time. Borders of chunks do
    not depend on the number of processes: chunk c is the business of process c modulo their count, and the files of
    one process serve eight.

    Args:
        encoder: the model.
        folder: of the files; None keeps nothing.
        progress: called with how many of how many inputs are done, about.
        processes: those that share the work; all get all vectors.
    """

    def __init__(
        self,
        encoder: Encoder,
        folder: Path | None = None,
        progress: Progress | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.encoder = encoder
        self.folder = folder
        self.processes = processes or Processes()
        self._progress = progress
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def view(self, requested: View) -> View:
        """Returns the task's view, or the default one for a model that follows no prompts."""
        try:
            self.encoder.space(requested)
        except ViewError:
            return DEFAULT
        return requested

    def preprocessing(self, view: View) -> str:
        """Of images, as `EngineConfig.preprocessing` names it."""
        return str(self.encoder.space(view).preprocessing.get("assembly", "standard"))

    def embed(
        self, inputs: Sequence[Callable[[], Input]], view: View, side: Side = Side.GALLERY, *, unit: bool = True
    ) -> Vectors:
        """float32 (n, d), the same on every process.

        Args:
            inputs: each is called once, in some thread, shortly before its turn: images are not in memory together.
            unit: of unit length; else as long as the model makes them.
        """
        count = self.processes.count
        chunks = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
        mine = chunks[self.processes.rank :: count]

        def work() -> list[Vectors]:
            made: list[Vectors] = []
            for vectors in self._embedded(mine, view, side, unit=unit):
                made.append(vectors)
                if self._progress:
                    self._progress(min(len(made) * count * CHUNK, len(inputs)), len(inputs))
            return made

        found = self.processes.gathered(work)
        none = np.empty((0, self.encoder.dimension), dtype=np.float32)
        return np.concatenate([none, *(found[c % count][c // count] for c in range(len(chunks)))])

    def both_sides(self, inputs: Sequence[Callable[[], Input]], view: View) -> dict[Side, Vectors]:
        """As `embed`, as queries and as documents; once, if the model makes no difference."""
        stored = self.embed(inputs, view, Side.GALLERY)
        symmetric = self.encoder.space(view).symmetric
        return {Side.GALLERY: stored, Side.QUERY: stored if symmetric else self.embed(inputs, view, Side.QUERY)}

    def _embedded(
        self, chunks: Iterable[Sequence[Callable[[], Input]]], view: View, side: Side, *, unit: bool
    ) -> Iterator[Vectors]:
        """Vectors of each chunk, in order; while the model has one chunk, the next one is decoded and prepared."""
        tiler = tiler_of(self.encoder)
        share = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of the machine's cores
        decoders, starter = ThreadPoolExecutor(max(1, min(DECODERS, share))), ThreadPoolExecutor(1)

        def start(chunk: Sequence[Callable[[], Input]]) -> Callable[[], Vectors]:
            contents = list(decoders.map(lambda make: self._decoded(make(), tiler), chunk))
            path = self._path(contents, view, side, unit=unit)
            if path and path.exists():
                known: Vectors = np.load(path)
                return lambda: known
            encoding = Encoding(self.encoder, contents, view, side)
            return lambda: self._kept(encoding.vectors(unit=unit), path)

        ahead: deque[Future[Callable[[], Vectors]]] = deque()
        try:
            for chunk in chunks:
                ahead.append(starter.submit(start, chunk))
                if len(ahead) > 1:
                    yield ahead.popleft().result()()
            while ahead:
                yield ahead.popleft().result()()
        finally:
            starter.shutdown(cancel_futures=True)
            decoders.shutdown(cancel_futures=True)

    def _decoded(self, made: Input, tiler: Tiler | None) -> Input:
        if self.folder is not None:
            _ = made.content_hash  # here, where other threads do the same
        if isinstance(made, Composed | Document):
            return replace(made, image=self._cut(made.image, tiler))
        return self._cut(made, tiler) if isinstance(made, Image) else made

    def _cut(self, image: Image, tiler: Tiler | None) -> Image:
        """Tiles take a tenth of a photograph's memory, and no time of the thread that prepares batches."""
        if tiler is None:
            return image
        content_hash = image.content_hash if self.folder else ""  # without a cache nobody asks for it
        return Tiled(tiles=tiler(image.pixels), size=image.size, content_hash=content_hash)

    def _path(self, contents: Sequence[Input], view: View, side: Side, *, unit: bool) -> Path | None:
        if self.folder is None:
            return None
        key = hashlib.sha256(f"{self.encoder.space(view).fingerprint} {side} {unit}".encode())
        for one in contents:
            key.update(one.content_hash.encode())
        return self.folder / f"{key.hexdigest()[:40]}.npy"

    def _kept(self, vectors: Vectors, path: Path | None) -> Vectors:
        if path is not None:
            partial = path.with_suffix(f".{self.processes.rank}.partial")  # two processes may write equal chunks
            with partial.open("wb") as file:
                np.save(file, vectors)
            partial.replace(path)
        return vectors
