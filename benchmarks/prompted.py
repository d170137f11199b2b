"""Qwen3-VL with random weights, asked for one word, beside transformers used as its documentation says.

    python benchmarks/prompted.py [--count 8]

On the CPU with a model of four layers. At Qwen3-VL-Embedding-2B's size it is a section of gpu.py. Images of 448x448,
and texts of 4 and 40 words in no order. Plain transformers gets batches of 8, padded on the left. A `ratio_vs_plain`
over 1 is faster (goal: never slower). The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from card import Card  # noqa: E402
from drawn import images, shuffled, worst  # noqa: E402
from towers import LENGTHS, Reference  # noqa: E402

from oneword.engine import Image, Input, Side, encode, views  # noqa: E402
from oneword.engine.checkpoint import PROMPTED, find  # noqa: E402
from oneword.engine.dependencies import quiet  # noqa: E402
from oneword.engine.pretrained import configuration  # noqa: E402
from oneword.engine.prompted.loading import load_prompted, processor  # noqa: E402
from oneword.engine.prompted.prompts import prompted  # noqa: E402
from tests.engine.prompted.checkpoints import qwen  # noqa: E402

ROWS = 8
"""In a batch of the plain loop."""

FULL: dict[str, Any] = {
    "text": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20], "rope_theta": 5_000_000.0},
    },
    "vision": {
        "hidden_size": 1024,
        "out_hidden_size": 2048,
        "depth": 24,
        "num_heads": 16,
        "intermediate_size": 4096,
        "deepstack_visual_indexes": [5, 11, 17],
        "num_position_embeddings": 2304,
    },
}
"""Qwen/Qwen3-VL-2B-Instruct, as its config.json describes it."""

SMALL: dict[str, Any] = {
    "text": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "head_dim": 16},
    "vision": {"out_hidden_size": 256},
}


def compared(card: Card, folder: Path, *, count: int = 64, small: bool = False) -> dict[str, Any]:
    """Returns the lowest cosine to plain transformers' vectors, and how many inputs a second each embeds.

    Args:
        count: images, and half of the texts of each length.
        small: with a model of four layers.
    """
    qwen(folder, "Qwen3VL", SMALL if small else FULL, card.device.type)
    sets: dict[str, list[Input]] = {
        "images": list(images(count, (448, 448))),
        "mixed_texts": shuffled(2 * count, LENGTHS),
    }
    encoder: Any = load_prompted(str(folder), device=card.device.type, dtype=card.dtype)
    ours = {kind: encode(encoder, inputs, views.DEFAULT) for kind, inputs in sets.items()}
    took = {kind: card.timed(partial(encode, encoder, some, views.DEFAULT), 2) for kind, some in sets.items()}
    found = {"device_gib": card.memory(), "parameters": sum(one.numel() for one in encoder.network.parameters())}
    encoder = None
    card.drop()
    plain = Plain(folder, card)
    theirs = {kind: plain(inputs) for kind, inputs in sets.items()}
    slow = {kind: card.timed(partial(plain, some), 2) for kind, some in sets.items()}
    return {
        "cosine": min(worst(ours[kind], theirs[kind]) for kind in sets),
        **{f"{kind}_per_second": round(len(inputs) / took[kind], 1) for kind, inputs in sets.items()},
        **{f"{kind}_ratio_vs_plain": round(slow[kind] / took[kind], 2) for kind in sets},
        **found,
    }


class Plain(Reference):
    """transformers' own chat template, processor and model, batches in the order given."""

    rows = ROWS

    def __init__(self, folder: Path, card: Card) -> None:
        from transformers import AutoModelForImageTextToText

        checkpoint = find(str(folder), expected=PROMPTED)
        self.processor = processor(checkpoint, configuration(checkpoint))
        self.processor.tokenizer.padding_side = "left"
        number = torch.bfloat16 if card.dtype == "bf16" else torch.float32
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=number).to(card.device).eval()

    def _batch(self, some: list[Input]) -> torch.Tensor:
        said = []
        for item in some:
            prompt, texts, _ = prompted(item, views.DEFAULT, Side.GALLERY)
            words = prompt.removeprefix(views.IMAGE).replace(views.SENTENCE, "".join(texts))
            seen = [{"type": "image", "image": item.pixels}] if isinstance(item, Image) else []
            said.append([{"role": "user", "content": [*seen, {"type": "text", "text": words}]}])
        given = self.processor.apply_chat_template(
            said,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.model.device, self.model.dtype)
        states = self.model(**given, output_hidden_states=True).hidden_states[-1]
        return torch.nn.functional.normalize(states[:, -1].float(), dim=-1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--count", type=int, default=8)
    given = parser.parse_args()
    card = Card()
    with quiet(), tempfile.TemporaryDirectory(prefix="oneword-prompted-") as scratch:
        found = compared(card, Path(scratch), count=given.count, small=card.device.type == "cpu")
    print(json.dumps({"benchmark": "prompted", "device": card.device.type, "count": given.count, **found}))


if __name__ == "__main__":
    main()
