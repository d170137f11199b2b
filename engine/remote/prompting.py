"""How a vision-language model that another machine runs is asked: what of its checkpoint is known without weights."""

from typing import Any, Protocol

import PIL.Image

from oneword.engine.catalog import Description
from oneword.engine.checkpoint import Checkpoint
from oneword.engine.dependencies import quiet
from oneword.engine.errors import InputError
from oneword.engine.prompted.tokens import PromptTokens
from oneword.engine.views import IMAGE, View

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Architectures whose images keep their shape, and take one token for each square of pixels."""


class Prompting(Protocol):
    """A checkpoint's prompts, and what becomes of an image."""

    tokens: PromptTokens
    dimension: int
    chunk_tokens: int
    text_tokens: int
    mark: str
    """What stands for an image in a whole prompt."""

    def followed(self, view: View) -> View:
        """Returns the prompts that are used for a view. Raises ViewError."""
        ...

    def preprocessing(self, view: View) -> dict[str, Any]:
        """Returns what decides over a vector beside the weights: as that of the model run here."""
        ...

    def shown(self, pixels: PIL.Image.Image) -> PIL.Image.Image:
        """Returns the image that is sent. Raises InputError for one that the model does not take."""
        ...

    def count(self, size: tuple[int, int]) -> int:
        """Returns how many tokens an image of (width, height) takes."""
        ...


class LlavaNext:
    """E5-V and its kin, see `oneword.engine.e5v`. The server cuts the tiles."""

    mark = IMAGE

    def __init__(self, checkpoint: Checkpoint) -> None:
        from oneword.engine.e5v.encoder import CHUNK_TOKENS
        from oneword.engine.e5v.loading import MAX_TEXT_TOKENS, tiling
        from oneword.engine.e5v.loading import prompt_tokens as tokens_of
        from oneword.engine.pretrained import configuration

        with quiet():
            config = configuration(checkpoint)
            self.tokens = tokens_of(checkpoint, MAX_TEXT_TOKENS, config)
            self._pictures = tiling(checkpoint, self.tokens, config)
        self.dimension = int(config.text_config.hidden_size)
        self.chunk_tokens, self.text_tokens = CHUNK_TOKENS, MAX_TEXT_TOKENS

    def followed(self, view: View) -> View:
        """Any."""
        return view

    def preprocessing(self, view: View) -> dict[str, Any]:  # noqa: ARG002
        """See `Prompting`."""
        from oneword.engine.e5v.encoder import preprocessing

        return preprocessing(self.tokens, self._pictures)

    def shown(self, pixels: PIL.Image.Image) -> PIL.Image.Image:
        """As it is."""
        return pixels

    def count(self, size: tuple[int, int]) -> int:
        """See `Prompting`."""
        return self._pictures.tokens(size)


class Qwen:
    """Qwen-VL and its kin. Images are resized here, to the very size that the model's processor would choose.

    The server then has nothing to resize, and so sees the pixels that the model sees where it runs locally.

    Args:
        known: description with the prompts and the pixel budget that the model was trained with.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, known: Description | None) -> None:
        from oneword.engine.pretrained import configuration
        from oneword.engine.prompted.images import Images
        from oneword.engine.prompted.loading import processor, prompt_tokens

        with quiet():
            config = configuration(checkpoint)
            made = processor(checkpoint, config, known.pixels if known else ())
            self._images = Images(made, known.square if known else None)
            self.tokens = prompt_tokens(checkpoint, made, known)
        self._processor, self._own, self._name = made.image_processor, known.view if known else None, name
        self.mark: str = self._images.token
        self.dimension = int(config.get_text_config().hidden_size)
        self.chunk_tokens = self.text_tokens = self.tokens.max_text_tokens

    def followed(self, view: View) -> View:
        """See `Prompting`."""
        from oneword.engine.prompted.encoder import followed

        return followed(self._own, view, self._name)

    def preprocessing(self, view: View) -> dict[str, Any]:
        """See `Prompting`."""
        from oneword.engine.prompted.encoder import preprocessing

        return preprocessing(self.tokens, self._images, self.followed(view))

    def shown(self, pixels: PIL.Image.Image) -> PIL.Image.Image:
        """See `Prompting`."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize  # needs no torchvision

        made = self._processor
        try:
            height, width = smart_resize(
                pixels.height,
                pixels.width,
                factor=made.patch_size * made.merge_size,
                min_pixels=made.size["shortest_edge"],
                max_pixels=made.size["longest_edge"],
            )
        except ValueError as error:  # a strip of 1:200
            raise InputError(
                f"{pixels.width}x{pixels.height} pixels: the model takes no such image ({error})"
            ) from error
        if (width, height) == pixels.size:
            return pixels
        return pixels.resize((width, height), PIL.Image.Resampling(made.resample))

    def count(self, size: tuple[int, int]) -> int:
        """See `Prompting`."""
        return int(self._images.tokens(size))


def prompting(checkpoint: Checkpoint, name: str, known: Description | None) -> Prompting | None:
    """Returns how a checkpoint is asked; None for an architecture whose images no server prepares as the model does."""
    if checkpoint.architecture in QWEN:
        return Qwen(checkpoint, name, known)
    llava = checkpoint.architecture == "llava_next" and (known is None or known.loader == "llava-next")
    return LlavaNext(checkpoint) if llava else None
