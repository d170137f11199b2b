"""Dual encoders at full size with random weights, beside transformers used as its documentation says: for gpu.py."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import Card
from drawn import images, texts, worst

from oneword.engine import Image, Input, Text, encode, views
from oneword.engine.dual.loading import load_dual
from tests.engine.dual.checkpoints import Sizes, clip, siglip2

ROWS = 32
"""In a batch of the plain loop."""

SIZES = {
    "clip_l14": (
        clip,
        Sizes(
            text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
            vision={
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "image_size": 224,
                "patch_size": 14,
            },
            dimension=768,
        ),
    ),
    "siglip2_so400m": (
        siglip2,
        Sizes(
            text={
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_hidden_layers": 27,
                "num_attention_heads": 16,
                "vocab_size": 256_000,
            },
            vision={
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_hidden_layers": 27,
                "num_attention_heads": 16,
                "image_size": 384,
                "patch_size": 14,
            },
            dimension=1152,
        ),
    ),
}
"""openai/clip-vit-large-patch14 and google/siglip2-so400m-patch14-384, as their config.json describe them."""


def compared(card: Card, name: str, folder: Path, *, small: bool) -> dict[str, Any]:
    """Returns the lowest cosine to plain transformers' vectors, and how many inputs a second each embeds."""
    make, sizes = SIZES[name]
    make(folder, None if small else Sizes(**{**vars(sizes), "device": card.device.type}))
    sets: dict[str, list[Input]] = {
        "images": list(images(8 if small else 256, (640, 480))),
        "texts": texts(8 if small else 512, 8) + texts(8 if small else 512, 40),
    }
    encoder: Any = load_dual(str(folder), device=card.device.type, dtype=card.dtype)
    ours = {kind: encode(encoder, inputs, views.DEFAULT) for kind, inputs in sets.items()}
    took = {kind: card.timed(partial(encode, encoder, some, views.DEFAULT), 2) for kind, some in sets.items()}
    encoder = None
    card.drop()
    plain = Plain(folder, card)
    theirs = {kind: plain(inputs) for kind, inputs in sets.items()}
    slow = {kind: card.timed(partial(plain, some), 2) for kind, some in sets.items()}
    return {
        "cosine": min(worst(ours[kind], theirs[kind]) for kind in sets),
        **{f"{kind}_per_second": round(len(inputs) / took[kind], 1) for kind, inputs in sets.items()},
        **{f"{kind}_ratio_vs_plain": round(slow[kind] / took[kind], 2) for kind in sets},
        "device_gib": card.memory(),
    }


class Plain:
    """transformers' own processor and model, batches in the order given."""

    def __init__(self, folder: Path, card: Card) -> None:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        self.device = card.device
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        number = torch.bfloat16 if card.dtype == "bf16" else torch.float32
        self.model = AutoModel.from_pretrained(folder, dtype=number).to(card.device).eval()
        siglip = "Siglip" in type(self.model).__name__
        self.padding = {"padding": "max_length", "max_length": 64} if siglip else {"padding": True}

    @torch.inference_mode()
    def __call__(self, inputs: list[Input]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Returns unit vectors, float32 (n, d)."""
        found = [self._batch(inputs[at : at + ROWS]) for at in range(0, len(inputs), ROWS)]
        vectors: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(found).cpu().numpy()
        return vectors

    def _batch(self, some: list[Input]) -> torch.Tensor:
        if isinstance(some[0], Image):
            given = self.processor(images=[one.pixels for one in some if isinstance(one, Image)], return_tensors="pt")
            given = {name: value.to(self.device, self.model.dtype) for name, value in given.items()}
            vectors = self.model.get_image_features(**given).pooler_output
        else:
            written = [one.text.lower() for one in some if isinstance(one, Text)]
            given = self.tokenizer(written, truncation=True, return_tensors="pt", **self.padding).to(self.device)
            vectors = self.model.get_text_features(**given).pooler_output
        return torch.nn.functional.normalize(vectors.float(), dim=-1)
