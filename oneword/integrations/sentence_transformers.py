"""Sentence-transformers: a model of Oneword wherever one of theirs is expected.

Needs the extra `oneword[sentence-transformers]`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule

from oneword.engine.encoder import Encoder, Side
from oneword.engine.inputs import Document, Input, Text
from oneword.integrations.embedder import BLANK, Embedder, read_image


class OnewordModule(InputModule):
    """The one module of such a model. It embeds without gradients: it can be evaluated and used, not trained.

    Args:
        model: an encoder, or what `--model` takes.
        view: a view's name.
    """

    config_keys = ("model", "view")

    def __init__(self, model: Encoder | str = "auto", view: str = "default") -> None:
        super().__init__()
        self.model, self.view = model if isinstance(model, str) else model.name, view
        self.embedder = Embedder(model, view)

    @property
    def modalities(self) -> list[Any]:
        """What it takes."""
        return ["text", "image", ("image", "text")]

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text that are read; None: not known."""
        return getattr(self.embedder.encoder, "text_tokens", None)

    def get_embedding_dimension(self) -> int:
        """The length of a vector."""
        return self.embedder.encoder.dimension

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **more: Any) -> dict[str, Any]:
        """Inputs as they are: the encoder prepares them."""
        made = [_input(one, prompt or "") for one in inputs]
        side = Side.QUERY if more.get("task") == "query" else Side.GALLERY
        return {"inputs": made, "side": side}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """With `sentence_embedding`: float32 (n, d), unit length."""
        vectors = self.embedder.vectors(features["inputs"], features["side"])
        features["sentence_embedding"] = torch.from_numpy(np.ascontiguousarray(vectors))
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Writes the model's name; its weights stay where they are."""
        self.save_config(output_path)


def as_sentence_transformer(model: Encoder | str = "auto", view: str = "default") -> SentenceTransformer:
    """A `SentenceTransformer` of an encoder: texts, images, and {"image": ..., "text": ...}.

    `encode_query` uses the view's query side, `encode` and `encode_document` the side of what is stored.

    Args:
        model: an encoder, or what `--model` takes.
        view: a view's name.
    """
    return SentenceTransformer(modules=[OnewordModule(model, view)], device="cpu", similarity_fn_name="cosine")


def _input(one: Any, prompt: str) -> Input:
    if isinstance(one, str):
        return Text(text=(prompt + one) if (prompt + one).strip() else BLANK)
    if isinstance(one, dict) and {"image", "text"} <= set(one):
        return Document(image=read_image(one["image"]), text=one["text"])
    if isinstance(one, dict) and len(one) == 1:
        return _input(one["text"], prompt) if "text" in one else read_image(one["image"])
    if isinstance(one, PIL.Image.Image | Path | bytes):
        return read_image(one)
    raise TypeError(f"a {type(one).__name__} cannot be embedded: expected a text, an image, or both in a dictionary")
