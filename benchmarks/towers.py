"""Dual encoders at full size with random weights, beside transformers used as its documentation says.

    python benchmarks/towers.py [--count 32]

On the CPU: CLIP B/32 and SigLIP 2 base; images of 640x480, and texts of 4 and 40 words in no order. Plain
transformers gets batches of 32. Each is measured after one run that does not count; a `ratio_vs_plain` over 1 is
faster (goals: never slower; 3 on texts of mixed lengths where the model pads to the longest). Larger ones are a section
of gpu.py. The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from card import Card  # noqa: E402
from drawn import images, shuffled, worst  # noqa: E402

from oneword.engine import Image, Input, Text, encode, views  # noqa: E402
from oneword.engine.dependencies import quiet  # noqa: E402
from oneword.engine.dual.loading import load_dual  # noqa: E402
from tests.engine.dual.checkpoints import Sizes, clip, siglip2  # noqa: E402

ROWS = 32
"""In a batch of the plain loop."""

LENGTHS = (4, 40)
"""Words in a text of mixed lengths."""


def tower(width: int, wider: int, layers: int, heads: int, **more: int) -> dict[str, int]:
    """Returns the settings of a tower's configuration."""
    sizes = {
        "hidden_size": width,
        "intermediate_size": wider,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    return sizes | more


SIZES = {
    "clip_l14": (
        clip,
        Sizes(
            text=tower(768, 3072, 12, 12),
            vision=tower(1024, 4096, 24, 16, image_size=224, patch_size=14),
            dimension=768,
        ),
    ),
    "siglip2_so400m": (
        siglip2,
        Sizes(
            text=tower(1152, 4304, 27, 16, vocab_size=256_000),
            vision=tower(1152, 4304, 27, 16, image_size=384, patch_size=14),
            dimension=1152,
        ),
    ),
}
"""openai/clip-vit-large-patch14 and google/siglip2-so400m-patch14-384, as their config.json describe them."""

ON_CPU = {
    "clip_b32": (
        clip,
        Sizes(
            text=tower(512, 2048, 12, 8),
            vision=tower(768, 3072, 12, 12, image_size=224, patch_size=32),
            dimension=512,
        ),
    ),
    "siglip2_base": (
        siglip2,
        Sizes(
            text=tower(768, 3072, 12, 12, vocab_size=256_000),
            vision=tower(768, 3072, 12, 12, image_size=224, patch_size=16),
            dimension=768,
        ),
    ),
}
"""openai/clip-vit-base-patch32 and google/siglip2-base-patch16-224."""


def compared(card: Card, name: str, folder: Path, *, count: int = 256, small: bool = False) -> dict[str, Any]:
    """Returns the lowest cosine to plain transformers' vectors, and how many inputs a second each embeds.

    Args:
        count: images, and half of the texts of each length.
        small: with a checkpoint that shows no more than that this runs.
    """
    made(name, folder, card, small=small)
    count = 8 if small else count
    drawn = list(images(count, (640, 480)))
    sets: dict[str, list[Input]] = {"images": [*drawn], "mixed_texts": shuffled(2 * count, LENGTHS)}
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


def made(name: str, folder: Path, card: Card, *, small: bool = False) -> Path:
    """Returns the folder of a checkpoint, which is written first if it is not there."""
    make, sizes = (SIZES | ON_CPU)[name]
    if not folder.exists():
        make(folder, None if small else Sizes(**{**vars(sizes), "device": card.device.type}))
    return folder


class Reference:
    """What a library computes, `rows` inputs at a time; `_batch` returns unit vectors."""

    rows = ROWS

    @torch.inference_mode()
    def __call__(self, inputs: list[Input]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Returns unit vectors, float32 (n, d)."""
        found = [self._batch(inputs[at : at + self.rows]) for at in range(0, len(inputs), self.rows)]
        vectors: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(found).cpu().numpy()
        return vectors

    def _batch(self, some: list[Input]) -> torch.Tensor:
        raise NotImplementedError


class Plain(Reference):
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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--count", type=int, default=32)
    given = parser.parse_args()
    card, found = Card(), {}
    with quiet(), tempfile.TemporaryDirectory(prefix="oneword-towers-") as scratch:
        for name in ON_CPU:
            found[name] = compared(card, name, Path(scratch) / name, count=given.count)
            print(f"{name:14} {json.dumps(found[name])}", flush=True)
    print(json.dumps({"benchmark": "towers", "device": card.device.type, "count": given.count, **found}))


if __name__ == "__main__":
    main()
