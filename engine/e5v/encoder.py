"""E5-V as an encoder: the hidden state that would say its input in one word.

Rows are padded on the right and read at their own last token. In a causal model nothing looks to the right,
so padding needs no mask, attention takes its fastest path, and a vector cannot depend on its neighbors. The
reference (kongds/E5-V:retrieval.py) pads on the left with a mask, which gives the same states: positions are
rotary, so only distances count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneword.engine.batches import Cost
from oneword.engine.e5v.image_processor import ImageProcessor
from oneword.engine.e5v.speech import Speech
from oneword.engine.encoder import Side, Tiler, Vectors
from oneword.engine.inputs import Image, Input
from oneword.engine.prompted.encoder import Prompted
from oneword.engine.prompted.prompts import prompted
from oneword.engine.prompted.tokens import PromptTokens
from oneword.engine.space import Space
from oneword.engine.tiles import tiles_of
from oneword.engine.views import View

PREPROCESSING_VERSION = 1
"""Raised whenever our own part of the way from input to ids and tiles changes a vector."""


CHUNK_TOKENS = 32
"""What sentences were cut to in E5-V's training (arXiv 2407.12580); longer ones are out of its experience."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the CPU, ready for the device.

    Legend: n rows, l tokens in the longest, t tiles in all, s side of a tile.

    Args:
        ids: int64 (n, l), padded on the right.
        last: int64 (n,), position of each row's last token.
        tiles: uint8 (t, 3, s, s) of all images, row by row; None without images.
        sizes: int64 (images, 2), height and width before tiling; stays on the CPU.
    """

    ids: Tensor
    last: Tensor
    tiles: Tensor | None
    sizes: Tensor | None


class E5VEncoder(Prompted):
    """A LLaVA-NeXT model behind the `Encoder` protocol. Made by `load_e5v`.

    Args:
        image_processor: the checkpoint's way from an image to tiles.
    """

    chunk_tokens = CHUNK_TOKENS

    def __init__(self, *, network: Any, image_processor: ImageProcessor, **common: Any) -> None:
        config, tower = network.config, network.config.vision_config
        super().__init__(
            network=network,
            dimension=int(config.text_config.hidden_size),
            padding=0 if config.image_token_id != 0 else 1,  # any id but the image's: nothing reads it
            **common,
        )
        self.image_processor = image_processor
        # A tile passes through the tower; its share of memory, in tokens of the wider decoder.
        patches = (tower.image_size // tower.patch_size) ** 2 + 1
        self._tile_cost = patches * tower.hidden_size / self.dimension

    @property
    def tiler(self) -> Tiler:
        """See `oneword.engine.encoder.Tiling`."""
        return self.image_processor.tiles

    def space(self, view: View) -> Space:
        """The space of this model and view. dtype and device hardly move a vector and are not part of it."""
        return Space(
            model=self.name,
            revision=self.revision,
            view=view,
            preprocessing=preprocessing(self.tokens, self.image_processor),
            dimension=self.dimension,
        )

    def _cost(self, item: Input, view: View, side: Side) -> Cost:
        prompt, texts, images = prompted(item, view, side)
        length = self.tokens.length(prompt, texts, [self.image_processor.tokens(image.size) for image in images])
        tiles = sum(self.image_processor.tiles.count(image.size) for image in images)
        return Cost(length=length, vision=round(tiles * self._tile_cost))

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Batch:
        """Token ids, padded, and tiles. Pinned for a GPU, so that the copy there need not wait."""
        rows: list[list[int]] = []
        shown: list[Image] = []
        for item in inputs:
            prompt, texts, images = prompted(item, view, side)
            shown += images
            rows.append(self.tokens.ids(prompt, texts, [self.image_processor.tokens(image.size) for image in images]))
        ids, last = self._padded(rows)
        tiles = tiles_of(shown, self.tiler)
        sizes = [image.size[::-1] for image in shown]  # (height, width)
        return Batch(
            ids=ids,
            last=last,
            tiles=self._pinned(torch.from_numpy(np.concatenate(tiles))) if tiles else None,
            sizes=torch.tensor(sizes) if sizes else None,
        )

    @torch.inference_mode()
    def _forward(self, batch: Batch) -> Tensor:
        images: dict[str, Tensor] = {}
        if batch.tiles is not None and batch.sizes is not None:
            tiles = self.image_processor.normalized(batch.tiles.to(self.device, non_blocking=True), self.dtype)
            images = {"pixel_values": tiles, "image_sizes": batch.sizes}
        ids = batch.ids.to(self.device, non_blocking=True)
        last = batch.last.to(self.device, non_blocking=True)
        # (n, l, d)
        states: Tensor = self.network.model(input_ids=ids, use_cache=False, **images).last_hidden_state
        return states[torch.arange(len(last), device=self.device), last]

    @cached_property
    def _speech(self) -> Speech:
        return Speech(self.network, self.tokens.tokenizer)

    @property
    def vocabulary(self) -> Sequence[str]:
        """See `oneword.engine.words.Speaker`."""
        return self._speech.vocabulary

    def say(self, vectors: Vectors) -> Vectors:
        """Probabilities of words, float32 (n, w). See `Speech.say`."""
        return self._speech.say(vectors)


def preprocessing(tokens: PromptTokens, image_processor: ImageProcessor) -> dict[str, Any]:
    """What decides over ids and tiles, JSON-ready: the part of a space that is not weights."""
    return {
        "version": PREPROCESSING_VERSION,
        "template": tokens.template,
        "max_text_tokens": tokens.max_text_tokens,
        "image_token_id": tokens.image_token_id,
        **image_processor.settings(),
    }
