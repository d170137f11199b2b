"""A vision-language model as an encoder: the hidden state that would say its input in one word.

Rows are padded on the right and read at their own last token. In a causal model nothing looks to the right,
so a vector cannot depend on its neighbors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneword.engine import views
from oneword.engine.batches import Budget, Cost, plan
from oneword.engine.devices import run
from oneword.engine.encoder import Side, Vectors
from oneword.engine.inputs import Input
from oneword.engine.prompted.images import Images
from oneword.engine.prompted.prompts import prompted
from oneword.engine.prompted.tokens import PromptTokens
from oneword.engine.space import Space
from oneword.engine.views import View

VERSION = 1
"""Raised whenever our own part of the way from input to vector changes one."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the CPU, ready for the device. Legend: n rows, l tokens in the longest.

    Args:
        ids: int64 (n, l), padded on the right.
        last: int64 (n,), position of each row's last token.
        images: what the model takes of the batch's images, by name; empty without images.
    """

    ids: Tensor
    last: Tensor
    images: dict[str, Tensor]


class Prompted:
    """What all models have in common that are read at the last token of a prompt.

    Args:
        name: what the model is called in its space.
        dimension: of a hidden state.
        padding: an id that stands for no image.
    """

    def __init__(
        self,
        *,
        name: str,
        revision: str,
        dimension: int,
        padding: int,
        network: Any,
        device: torch.device,
        dtype: torch.dtype,
        tokens: PromptTokens,
        budget: Budget,
    ) -> None:
        self.name, self.revision = name, revision
        self.network, self.device, self.dtype = network, device, dtype
        self.tokens, self.budget, self.dimension = tokens, budget, dimension
        self._padding = padding
        self._context: int | None = getattr(network.config.get_text_config(), "max_position_embeddings", None)

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:
        """Batches of similar length within the token budget. Looks at texts and at images' sizes only."""
        return plan([self._cost(item, view, side) for item in inputs], self.budget)

    def _cost(self, item: Input, view: View, side: Side) -> Cost:
        raise NotImplementedError

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Returns ids (n, l), padded on the right, and each row's last position (n,). Pinned for a GPU.

        Raises:
            ValueError: a row is longer than the model's context.
        """
        longest = max(map(len, rows))
        if self._context is not None and longest > self._context:
            raise ValueError(
                f"it takes {longest:,} tokens, and the model reads {self._context:,}: expected fewer or smaller images"
            )
        last = torch.tensor([len(row) - 1 for row in rows])
        ids = torch.full((len(rows), int(last.max()) + 1), self._padding)
        for row, into in zip(rows, ids, strict=True):
            into[: len(row)] = torch.tensor(row)
        return self._pinned(ids), self._pinned(last)

    def forward(self, batch: Any) -> Tensor:
        """(n, d) on the device: each row's last hidden state, after the final norm. No logits."""
        rows, length = batch.ids.shape
        return run(lambda: self._forward(batch), self.device, rows, length)

    def _forward(self, batch: Any) -> Tensor:
        raise NotImplementedError

    def finish(self, raw: Tensor) -> Vectors:
        """float32 (n, d) on the CPU."""
        vectors: Vectors = raw.to("cpu", torch.float32).numpy().astype(np.float32, copy=False)
        return vectors

    @property
    def text_tokens(self) -> int:
        """See `oneword.engine.encoder.Limited`."""
        return self.tokens.max_text_tokens

    @cached_property
    def tokenizer(self) -> str:
        """See `Encoder.tokenizer`."""
        return self.tokens.plain()

    def _pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self.device.type == "cuda" else tensor


class PromptedEncoder(Prompted):
    """A vision-language model of transformers behind the `Encoder` protocol. Made by `load_prompted`.

    Args:
        images: the model's own way from an image to tensors.
        own: the prompts that the model was trained with, in place of the default view's; None if it has none.
        chunk_tokens: see `Encoder.chunk_tokens`.
    """

    def __init__(self, *, images: Images, own: View | None, chunk_tokens: int, **common: Any) -> None:
        super().__init__(**common)
        self.images, self.own, self.chunk_tokens = images, own, chunk_tokens

    def space(self, view: View) -> Space:
        """See `Encoder.space`."""
        return Space(
            model=self.name,
            revision=self.revision,
            view=view,
            preprocessing=preprocessing(self.tokens, self.images, self._followed(view)),
            dimension=self.dimension,
        )

    def _followed(self, view: View) -> View:
        return followed(self.own, view, self.name)

    def _cost(self, item: Input, view: View, side: Side) -> Cost:
        prompt, texts, images = prompted(item, self._followed(view), side)
        shown = sum(self.images.tokens(image.size) for image in images)
        return Cost(length=len(self.tokens.text_ids(prompt, texts)) + shown, vision=shown)

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Batch:
        """Token ids, padded, and what the model's own processor makes of all images at once."""
        prompts = [prompted(item, self._followed(view), side) for item in inputs]
        shown, seen = self.images([[image.pixels for image in images] for _, _, images in prompts if images])
        rows, replaced = [], iter(shown)
        for prompt, texts, images in prompts:
            rows.append(
                self.tokens.shown_ids(prompt, texts, self.images.token, next(replaced))
                if images
                else self.tokens.text_ids(prompt, texts)
            )
        ids, last = self._padded(rows)
        return Batch(ids=ids, last=last, images={name: self._pinned(value) for name, value in seen.items()})

    @torch.inference_mode()
    def _forward(self, batch: Batch) -> Tensor:
        ids = batch.ids.to(self.device, non_blocking=True)
        last = batch.last.to(self.device, non_blocking=True)
        images = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None, non_blocking=True)
            for name, value in batch.images.items()
        }
        # Positions of images are counted by it, and a row's own end is known by it.
        mask = (torch.arange(ids.shape[1], device=self.device)[None] <= last[:, None]).long()
        kinds = self.images.kinds(batch.ids, self.device)
        # (n, l, d)
        states: Tensor = self.network(
            input_ids=ids, attention_mask=mask, use_cache=False, **kinds, **images
        ).last_hidden_state
        return states[torch.arange(len(last), device=self.device), last]


def followed(own: View | None, view: View, name: str) -> View:
    """Returns a model's own prompts, or the view's. Raises ViewError for another view than it can follow."""
    if own is None:
        return view
    views.require_default(view, name, "it has prompts of its own")
    return own


def preprocessing(tokens: PromptTokens, images: Images, view: View) -> dict[str, Any]:
    """What decides over ids and pixels, JSON-ready: the part of a space that is not weights.

    Args:
        view: the prompts that are used.
    """
    return {
        "version": VERSION,
        "prompts": {
            side: {kind: tokens.whole(prompt) for kind, prompt in prompts.items()}
            for side, prompts in view.as_dict().items()
            if side != "name"
        },
        "max_text_tokens": tokens.max_text_tokens,
        "image_processor": images.settings(),
    }
