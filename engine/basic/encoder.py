"""Images and texts in MiniLM's space, without training: ConSE (Norouzi et al. 2013, arXiv 1312.5650).

A classifier gives probabilities of 1,000 classes; the vector of an image is the mean of the classes' name vectors,
weighted by them. So it is similar to the vector of a sentence about the image.

Legend: n inputs, p of them with an image, q of them with a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oneword.engine import views
from oneword.engine.basic import classes, classifier, sentences
from oneword.engine.encoder import Side, Vectors
from oneword.engine.errors import DeviceOutOfMemory
from oneword.engine.inputs import Image, Input, Text, pieces
from oneword.engine.space import Space

TEMPERATURE = 1.5
"""Softens the probabilities, so that lower ones count more. 1 to 2 measured alike."""

TOP = 20
"""Classes that count, by how far each is above the next one. (ConSE takes the 10 best as they are, and a
image between two classes for the tenth place would jump at the least change of a pixel; 5 to 50 measured
alike.)"""

DEBIAS = 0.8
"""Share of the classes' mean vector that is subtracted from every vector: it carries no information, and without
this an image is as similar to any text as to its own."""

IMAGE_IN_DOCUMENT = 1.0
"""Weight of a document's image where its caption weighs 1."""

IMAGE_IN_COMPOSED = 0.7
"""Weight of a composed query's image where its edit weighs 1. With more, the image finds
itself; with less, it has no effect."""

CHUNK_TOKENS = 128
"""Length that MiniLM's texts were truncated to in training (huggingface.co/sentence-transformers/all-MiniLM-L6-v2)."""

RECIPE = 2  # raised when vectors change without a change of a constant
IMAGES = 8  # in a batch; they run one by one


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What `prepare` makes of n inputs.

    Args:
        count: n.
        pixels: uint8 (p, 2, 224, 224, 3): two views of each image.
        image_rows: int64 (p,), which input each image is of.
        image_weights: float32 (p, 1).
        tokens: of the q texts; None where q is 0.
        texts: int64 (q,), which input each text is of.
    """

    count: int
    pixels: Tensor
    image_rows: Tensor
    image_weights: Tensor
    tokens: sentences.Tokens | None
    texts: Tensor


class BasicEncoder:
    """`--model basic`. Make one with `load_basic`."""

    name = "basic"
    dimension = sentences.DIMENSION
    chunk_tokens = CHUNK_TOKENS
    text_tokens = sentences.WORDPIECES - 2  # beside [CLS] and [SEP]

    def __init__(self, weights: Path, language: Path, *, device: torch.device | None = None) -> None:
        """Loads the two models and the classes.

        Args:
            weights: EfficientNet-Lite0's checkpoint.
            language: MiniLM's folder.
            device: where to compute; the CPU by default.

        Raises:
            WrongCheckpoint: the files are of other models.
        """
        self.device = device or torch.device("cpu")
        self._classifier = classifier.load_classifier(weights)
        self._sentences = sentences.Sentences(language)
        self.class_names = classes.names()
        phrases = classes.phrases()
        spoken = classes.key_of(phrases, self._sentences)
        self._revision = classes.digest(weights, text=spoken)
        matrix = torch.from_numpy(classes.class_matrix(phrases, self._sentences.vectors, key=spoken))
        self._classes = matrix.to(self.device)  # (1000, 384)
        self._shared = DEBIAS * self._classes.mean(0)  # (384,)
        self._classifier.to(self.device)
        self._sentences.to(self.device)

    def space(self, view: views.View) -> Space:
        """See `Encoder.space`."""
        views.require_default(view, self.name)
        return Space(
            model=self.name,
            revision=self._revision,
            view=view,
            preprocessing={
                "image_size": classifier.SIZE,
                "image_views": ["letterbox", "centre crop"],
                "crop_padding": classifier.CROP,
                "temperature": TEMPERATURE,
                "top_classes": TOP,
                "debias": DEBIAS,
                "picture_in_document": IMAGE_IN_DOCUMENT,
                "picture_in_composed": IMAGE_IN_COMPOSED,
                "wordpieces": sentences.WORDPIECES,
                "recipe": RECIPE,
            },
            dimension=self.dimension,
        )

    def plan(self, inputs: Sequence[Input], view: views.View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Texts by length, to reduce padding; images, with or without text, in their order."""
        views.require_default(view, self.name)
        lengths = {i: len(each.text) for i, each in enumerate(inputs) if isinstance(each, Text)}
        texts = sorted(lengths, key=lengths.__getitem__)
        image_rows = [i for i in range(len(inputs)) if i not in lengths]
        return [*_chunks(texts, sentences.BATCH), *_chunks(image_rows, IMAGES)]

    def prepare(self, inputs: Sequence[Input], view: views.View, side: Side) -> Batch:  # noqa: ARG002
        """Resizes the images and cuts the texts into wordpieces."""
        views.require_default(view, self.name)
        pixels, image_rows, weights = [], [], []
        written, texts = [], []
        for i, each in enumerate(inputs):
            for piece, weight in pieces(each, IMAGE_IN_DOCUMENT, IMAGE_IN_COMPOSED):
                if isinstance(piece, Image):
                    pixels.append(classifier.views(piece.pixels))
                    image_rows.append(i)
                    weights.append(weight)
                else:
                    written.append(piece)
                    texts.append(i)
        shape = (0, 2, classifier.SIZE, classifier.SIZE, 3)
        return Batch(
            count=len(inputs),
            pixels=torch.from_numpy(np.stack(pixels) if pixels else np.empty(shape, dtype=np.uint8)),
            image_rows=torch.tensor(image_rows, dtype=torch.long),
            image_weights=torch.tensor(weights, dtype=torch.float32)[:, None],
            tokens=self._sentences.tokenize(written) if written else None,
            texts=torch.tensor(texts, dtype=torch.long),
        )

    @torch.inference_mode()
    def forward(self, batch: Batch) -> Tensor:
        """float32 (n, 384): an image's vector, a text's, or their weighted sum."""
        try:
            out = torch.zeros(batch.count, self.dimension, device=self.device)
            if len(batch.image_rows):
                seen = batch.image_weights.to(self.device) * self._seen(batch.pixels)  # (p, 384)
                out.index_add_(0, batch.image_rows.to(self.device), seen)
            if batch.tokens:
                read = F.normalize(self._sentences.embed(batch.tokens) - self._shared, dim=-1)  # (q, 384)
                out.index_add_(0, batch.texts.to(self.device), read)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(f"{batch.count} inputs do not fit {self.device}: {error}") from error
        return out

    def finish(self, raw: Tensor) -> Vectors:
        """float32 (n, 384) on the CPU."""
        vectors: Vectors = raw.cpu().numpy()
        return vectors

    @cached_property
    def tokenizer(self) -> str:
        """See `Encoder.tokenizer`."""
        return self._sentences.tokenizer()

    @cached_property
    def vocabulary(self) -> list[str]:
        """The classes' names. See `oneword.engine.words.Speaker`."""
        return list(dict.fromkeys(self.class_names))

    def say(self, vectors: Vectors) -> Vectors:
        """Cosine similarity to each class's name, float32 (n, w)."""
        first = [self.class_names.index(name) for name in self.vocabulary]
        spoken = F.normalize(self._classes[first] - self._shared, dim=-1).cpu().numpy()  # (w, 384)
        similar: Vectors = vectors @ spoken.T
        return similar

    def _seen(self, pixels: Tensor) -> Tensor:
        """uint8 (p, 2, 224, 224, 3) to unit vectors (p, 384).

        One image at a time: a CPU is no slower at it, and no image's vector depends on its neighbors'.
        """
        probabilities = torch.stack([self._probabilities(looks) for looks in pixels])  # (p, 1000)
        best, which = probabilities.topk(TOP + 1)
        weights = best[:, :TOP] - best[:, TOP:]  # (p, 20), falling smoothly to 0
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
        mix = torch.einsum("pk,pkd->pd", weights, self._classes[which[:, :TOP]])  # (p, 384)
        return F.normalize(mix - self._shared, dim=-1)

    def _probabilities(self, looks: Tensor) -> Tensor:
        """uint8 (2, 224, 224, 3), the views of one image, to (1000,)."""
        logits: Tensor = self._classifier(looks.to(self.device))[0]  # (2, 1000)
        return (logits.mean(0) / TEMPERATURE).softmax(-1)


def _chunks(positions: list[int], size: int) -> list[list[int]]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]
