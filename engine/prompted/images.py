"""Images as a vision-language model takes them: by its own processor, once a batch."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import PIL.Image
import torch
from torch import Tensor

KINDS = ("mm_token_type_ids", "token_type_ids")
"""Names of the argument that tells a model which tokens are images."""


class Images:
    """A checkpoint's processor for images alone.

    Args:
        processor: of transformers.
        square: side in pixels of the square that images are squeezed to first; None leaves their shape.
    """

    def __init__(self, processor: Any, square: int | None = None) -> None:
        self._processor, self._square = processor, square
        self.token: str = processor.image_token
        """What stands for an image in a prompt, before it is replaced."""
        output = processor(text=["a"])
        self._kind = next((name for name in KINDS if name in output), None)
        self.tokens = lru_cache(maxsize=4096)(self._tokens)

    def __call__(self, inputs: Sequence[Sequence[PIL.Image.Image]]) -> tuple[list[tuple[str, ...]], dict[str, Tensor]]:
        """Returns what takes the place of image tokens, and the model's arguments by name.

        Args:
            inputs: the images of each input that has some: a model may cut several into fewer tiles than one.
        """
        if not inputs:
            return [], {}
        if side := self._square:
            inputs = [[image.resize((side, side)) for image in images] for images in inputs]
        made = self._processor(
            images=[list(images) for images in inputs],
            text=[self.token * len(images) for images in inputs],
            padding=True,
            return_tensors="pt",
            return_text_replacement_offsets=True,
        )
        shown = [tuple(one["replacement"] for one in row) for row in made["text_replacement_offsets"]]
        texts = {"text_replacement_offsets", "input_ids", "attention_mask", *KINDS}
        return shown, {name: value for name, value in made.items() if name not in texts}

    def _tokens(self, size: tuple[int, int]) -> int:
        """Returns how many tokens an image of (width, height) takes, to plan by."""
        width, height = (self._square, self._square) if self._square else size
        count = getattr(self._processor, "_get_num_multimodal_tokens", None)
        try:
            if count is not None:
                return int(count(image_sizes=[(height, width)])["num_image_tokens"][0])
            ((shown,),), _ = self([[PIL.Image.new("RGB", size)]])
        except Exception:  # the processor refuses such an image, and will say so when it is its turn
            return 0
        return shown.count(self.token)

    def kinds(self, ids: Tensor, device: torch.device) -> dict[str, Tensor]:
        """Returns which tokens are an image's, where the model wants to know: int64 (n, l).

        Args:
            ids: int64 (n, l), on the CPU.
        """
        if self._kind is None:
            return {}
        return {self._kind: torch.tensor(self._processor.create_mm_token_type_ids(ids.tolist())).to(device)}

    def settings(self) -> dict[str, Any]:
        """Returns what decides over a pixel or the number of tokens, JSON-ready."""
        made = self._processor.image_processor
        volatile = ("processor_class", "image_processor_type", "auto_map", "device", "return_tensors")
        kept = {name: value for name, value in made.to_dict().items() if name not in volatile and value is not None}
        settings = {"square": self._square, "class": type(made).__name__, **kept}
        plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))  # as they would be read back
        return plain
