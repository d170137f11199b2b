"""CLIP and its kin as an encoder: one tower reads texts, another one sees images.

Neither tower takes both, so documents and composed queries are sums of unit vectors. Legend: n inputs, p of them
with an image, q of them with a text, d dimensions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oneword.engine import views
from oneword.engine.batches import Budget, Cost, plan
from oneword.engine.devices import run
from oneword.engine.dual.images import Images
from oneword.engine.dual.texts import Reader
from oneword.engine.encoder import Side, Tiler, Vectors
from oneword.engine.inputs import Image, Input, images_of, pieces, texts_of
from oneword.engine.space import Space
from oneword.engine.tiles import tiles_of

VERSION = 1
"""Raised whenever our own part of the way from input to vector changes one."""

IMAGE_IN_DOCUMENT = 1.0
IMAGE_IN_COMPOSED = 1.0
"""Weight of an image's unit vector where the text's is 1: "Image + Text" of arXiv 2302.03084, table 2."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the CPU.

    Args:
        count: n.
        tiles: uint8 (t, 3, h, w): one an image, or its patches; None without images.
        shapes: int64 (p, 2), rows and columns of each image's tiles.
        images: int64 (p,), which input each image is of.
        weights: float32 (p, 1), of the images.
        texts: int64 (q,), which input each text is of.
        tokens: what the text tower takes, by name; empty without texts.
    """

    count: int
    tiles: Tensor | None
    shapes: Tensor
    images: Tensor
    weights: Tensor
    texts: Tensor
    tokens: dict[str, Tensor]


class DualEncoder:
    """Two towers behind the `Encoder` protocol. Made by `load_dual` and `load_open_clip`.

    Args:
        see: the image tower: what `images.inputs` returns to (p, d).
        read: the text tower: what `texts.batch` returns to (q, d).
        dtype: of the images that the tower takes.
        dimension: d.
    """

    def __init__(
        self,
        *,
        name: str,
        revision: str,
        see: Callable[..., Tensor],
        read: Callable[..., Tensor],
        dtype: torch.dtype,
        dimension: int,
        device: torch.device,
        texts: Reader,
        images: Images,
        budget: Budget,
    ) -> None:
        self.name = name
        self.revision = revision
        self.device = device
        self._see, self._read, self._dtype, self.dimension = see, read, dtype, dimension
        self._texts, self._images, self.budget = texts, images, budget
        self.chunk_tokens = self.text_tokens = texts.limit
        self.tokenizer = texts.plain.to_str() if texts.plain is not None else None

    @property
    def tiler(self) -> Tiler:
        """See `oneword.engine.encoder.Tiling`."""
        return self._images.framing

    def space(self, view: views.View) -> Space:
        """See `Encoder.space`."""
        views.require_default(view, self.name)
        return Space(
            model=self.name,
            revision=self.revision,
            view=view,
            preprocessing={
                "version": VERSION,
                "image_in_document": IMAGE_IN_DOCUMENT,
                "image_in_composed": IMAGE_IN_COMPOSED,
                **self._texts.settings(),
                **self._images.settings(),
            },
            dimension=self.dimension,
        )

    def plan(self, inputs: Sequence[Input], view: views.View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Texts with texts of about their length, inputs with an image with others."""
        self.space(view)
        costs: tuple[dict[int, Cost], dict[int, Cost]] = ({}, {})
        for i, item in enumerate(inputs):
            images = images_of(item)
            length = sum(map(self._texts.length, texts_of(item)))
            costs[bool(images)][i] = Cost(length=max(length, self._images.patches * len(images)))
        batches = []
        for some in costs:
            positions = list(some)
            batches += [[positions[i] for i in batch] for batch in plan(list(some.values()), self.budget)]
        return batches

    def prepare(self, inputs: Sequence[Input], view: views.View, side: Side) -> Batch:  # noqa: ARG002
        """Token ids, padded, and resized images. Pinned for a GPU, so that the copy there need not wait."""
        shown, shapes, images, weights, written, texts = [], [], [], [], [], []
        for i, item in enumerate(inputs):
            for piece, weight in pieces(item, IMAGE_IN_DOCUMENT, IMAGE_IN_COMPOSED):
                if isinstance(piece, Image):
                    shown.append(piece)
                    shapes.append(self._images.shape(piece.size))
                    images.append(i)
                    weights.append(weight)
                else:
                    written.append(piece)
                    texts.append(i)
        tiles = tiles_of(shown, self.tiler)
        return Batch(
            count=len(inputs),
            tiles=self._pinned(torch.from_numpy(np.concatenate(tiles))) if tiles else None,
            shapes=torch.tensor(shapes, dtype=torch.long).reshape(-1, 2),
            images=torch.tensor(images, dtype=torch.long),
            weights=torch.tensor(weights, dtype=torch.float32)[:, None],
            texts=torch.tensor(texts, dtype=torch.long),
            tokens={name: self._pinned(ids) for name, ids in self._texts.batch(written).items()} if written else {},
        )

    def forward(self, batch: Batch) -> Tensor:
        """float32 (n, d) on the device: an image's vector, a text's, or the weighted sum of several."""
        lengths = [ids.shape[1] for ids in batch.tokens.values()]
        length = max([self._images.patches, *lengths] if batch.tiles is not None else lengths)
        return run(lambda: self._forward(batch), self.device, batch.count, length)

    @torch.inference_mode()
    def _forward(self, batch: Batch) -> Tensor:
        out = torch.zeros(batch.count, self.dimension, device=self.device)
        if batch.tiles is not None:
            tiles = batch.tiles.to(self.device, non_blocking=True)
            vectors = self._see(**self._images.inputs(tiles, batch.shapes, self._dtype))  # (p, d)
            weights = batch.weights.to(self.device)
            out.index_add_(0, batch.images.to(self.device), weights * F.normalize(vectors.float(), dim=-1))
        if batch.tokens:
            read = {name: ids.to(self.device, non_blocking=True) for name, ids in batch.tokens.items()}
            vectors = self._read(**read)  # (q, d)
            out.index_add_(0, batch.texts.to(self.device), F.normalize(vectors.float(), dim=-1))
        return out

    def finish(self, raw: Tensor) -> Vectors:
        """float32 (n, d) on the CPU."""
        vectors: Vectors = raw.cpu().numpy().astype(np.float32, copy=False)
        return vectors

    def _pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self.device.type == "cuda" else tensor
