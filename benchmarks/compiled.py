"""A model with `--compile` beside itself without: a section of gpu.py."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from card import Card
from drawn import images, shuffled, tiled, worst

from oneword.engine import Input, encode, views

MIXED = (8, 16, 16, 24, 32, 128)
"""Words in a text of mixed lengths."""


def compared(card: Card, load: Callable[..., Any], count: int) -> dict[str, Any]:
    """Returns the lowest cosine of both, seconds of the first batches, and inputs a second.

    Args:
        load: with device, dtype and compile.
        count: images of 640x480, as the decoders of a job hand them over, and texts of each length.
    """
    vectors, took, first = {}, {}, 0.0
    for fused in (False, True):
        card.drop()
        encoder = load(device=card.device.type, dtype=card.dtype, compile=fused)
        sets: dict[str, list[Input]] = {
            "images": [tiled(one, encoder.tiler) for one in images(count, (640, 480))],
            "mixed_texts": shuffled(count, MIXED),
        }
        began = time.perf_counter()
        vectors[fused] = np.concatenate([encode(encoder, some, views.DEFAULT) for some in sets.values()])
        first = time.perf_counter() - began
        for kind, some in sets.items():
            took[kind, fused] = len(some), card.timed(partial(encode, encoder, some, views.DEFAULT), 3)
        encoder = None
    found: dict[str, Any] = {"cosine": worst(vectors[False], vectors[True]), "first_s": round(first, 1)}
    for kind in ("images", "mixed_texts"):
        number, seconds = took[kind, True]
        found[f"{kind}_per_second"] = round(number / seconds, 1)
        found[f"{kind}_ratio_vs_plain"] = round(took[kind, False][1] / seconds, 2)
    return found
