"""Our encoders for MTEB and MIEB: `mteb.evaluate(MtebModel("mini"), tasks)`. Needs the extra `oneword[mteb]`.

Texts, images and both together are embedded as everywhere here. A query that is an image with a text is a composed
query (the text says what should differ); a document that is both is embedded as one.
"""

from typing import Any

import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from mteb.types import PromptType

from oneword.engine import models
from oneword.engine.encoder import Encoder, Side
from oneword.engine.encoding import encode
from oneword.engine.inputs import Composed, Document, Image, Input, Text
from oneword.engine.views import DEFAULT, View

BLANK = "."
"""Stands for a blank text, which some data sets have: MTEB wants a vector for each."""


class MtebModel(AbsEncoder):  # type: ignore[misc]
    """A model as MTEB takes it.

    Args:
        model: an encoder, or the name or folder that `--model` takes.
        view: whose prompts are used.
    """

    def __init__(self, model: Encoder | str = "auto", view: View = DEFAULT) -> None:
        self.model = models.load(model) if isinstance(model, str) else model
        self.view = view
        space = self.model.space(view)
        self.mteb_model_meta = ModelMeta(
            loader=None,
            name=f"oneword/{self.model.name.strip('/').replace('/', '--')}",
            revision=space.fingerprint[:40],
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=None,
            embed_dim=self.model.dimension,
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name="cosine",
            use_instructions=False,
            training_datasets=None,
            modalities=["text", "image"],
        )

    def encode(self, inputs: Any, *, prompt_type: PromptType | None = None, **_: Any) -> Any:
        """float32 (n, d) of a loader's batches, which are dictionaries with `text`, `image`, or both."""
        side = Side.QUERY if prompt_type == PromptType.query else Side.GALLERY
        found = [np.empty((0, self.model.dimension), dtype=np.float32)]
        for batch in inputs:
            texts, images = batch.get("text"), batch.get("image")
            count = len(texts if texts is not None else images)
            made = [
                _input(texts[i] if texts is not None else None, images[i] if images is not None else None, side)
                for i in range(count)
            ]
            found.append(encode(self.model, made, self.view, side))
        return np.concatenate(found)


def _input(text: str | None, pixels: Any, side: Side) -> Input:
    stripped = (text or "").strip()
    if pixels is None:
        return Text(text=stripped or BLANK)
    image = Image(pixels=pixels)
    if not stripped:
        return image
    return Composed(image=image, edit=stripped) if side is Side.QUERY else Document(image=image, text=stripped)
