"""Models of open_clip: MobileCLIP 2, PE-Core, and whatever else has an `open_clip_config.json`.

The model's own tokenizer and preprocessing, its weights from safetensors alone, and no word to the hub.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from oneword.engine.checkpoint import OPEN_CLIP, OPEN_CLIP_CONFIG, Checkpoint, find, read_json
from oneword.engine.compiling import ready
from oneword.engine.dependencies import quiet, require
from oneword.engine.devices import Placement, pick
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.dual.framing import EvenFraming, Framing
from oneword.engine.dual.images import Images
from oneword.engine.dual.loading import budget
from oneword.engine.errors import EngineError, WrongCheckpoint
from oneword.engine.plain import plain
from oneword.engine.pretrained import named

PATCH = 16
"""Side in pixels of what counts as one token of an image, to plan by."""

FILTERS = {"bilinear": 2, "bicubic": 3}
"""Pillow's filters by open_clip's names."""


class OpenTexts:
    """A model's own tokenizer: every text padded to the tower's length. A special token is read as plain characters.

    Args:
        tokenizer: as `open_clip.get_tokenizer` returns it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.plain: Any = None
        self.places = int(tokenizer.context_length)
        self.limit = self.places - 2  # a start and an end
        if (pattern := getattr(tokenizer, "pat", None)) is not None:
            import regex

            spelled = "|".join(tokenizer.cache)
            tokenizer.pat = regex.compile(pattern.pattern.removeprefix(spelled + "|"), regex.IGNORECASE)
        else:
            tokenizer.tokenizer.split_special_tokens = True
            self.plain = plain(tokenizer.tokenizer.backend_tokenizer.to_str(), at_start=True, all_added=False)

    def length(self, text: str) -> int:  # noqa: ARG002 - all are padded alike
        """Returns how many tokens a text costs."""
        return self.places

    def batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Returns the text tower's argument: int64 (q, l)."""
        return {"text": self._tokenizer(list(texts))}

    def settings(self) -> dict[str, Any]:
        """Returns what decides over ids, JSON-ready."""
        return {"text_tokens": self.places, "tokenizer": type(self._tokenizer).__name__}


def load_open_clip(
    model: str | Checkpoint,
    *,
    revision: str | None = None,
    **placement: Unpack[Placement],
) -> DualEncoder:
    """Loads a model of open_clip.

    Args:
        model: a Hugging Face id, a folder with an `open_clip_config.json`, or one found already.
        revision: of a hub model: a branch, tag or commit.
        placement: see `Placement`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
        DeviceOutOfMemory: the weights do not fit.
    """
    place, number = pick(placement)
    checkpoint = find(model, revision, expected=OPEN_CLIP)
    require("torchvision", "open_clip", what=f"the model {checkpoint.model!r}", extra="open-clip")
    described = read_json(checkpoint.folder / OPEN_CLIP_CONFIG, checkpoint.model)
    try:
        dimension = int(described["model_cfg"]["embed_dim"])
        with quiet():
            network, texts = _parts(checkpoint, place, number)
            network = ready(network, placement, place)
            images = _images(checkpoint, network.visual.preprocess_cfg)
    except EngineError:
        raise
    except Exception as error:  # a malformed file may raise anything
        raise named(error, checkpoint.model, place) from error
    return DualEncoder(
        name=checkpoint.model,
        revision=checkpoint.revision(),
        see=lambda pixel_values: network.encode_image(pixel_values),
        read=network.encode_text,
        dtype=number,
        dimension=dimension,
        device=place,
        texts=texts,
        images=images,
        budget=budget(place, placement),
    )


def _parts(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> tuple[Any, OpenTexts]:
    """Returns the network, with all of its weights and on the device, and its tokenizer."""
    import open_clip
    from timm.utils import reparameterize_model

    local = f"local-dir:{checkpoint.folder}"
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # that no weights were loaded, as they are loaded next
    try:
        network = open_clip.create_model(local, load_weights=False, pretrained_text=False)
        open_clip.load_checkpoint(network, str(checkpoint.weights[0]), strict=True)
        texts = OpenTexts(open_clip.get_tokenizer(local))
    finally:
        logging.disable(level)
    # MobileCLIP's branches become one: the same function, faster.
    network.visual = reparameterize_model(network.visual.eval())
    return network.eval().to(device, dtype), texts


def _images(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> Images:
    """Returns what follows the model's preprocessing settings, as `open_clip.image_transform` does."""
    size, mode = settings["size"], settings["resize_mode"]
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    square = height == width
    if mode not in ("squash", "shortest") or (mode == "shortest" and not square):
        raise WrongCheckpoint(
            f"{checkpoint.model}: its images are resized by {mode!r} to {size}: expected 'squash', or 'shortest' to a "
            "square"
        )
    edges = {"height": height, "width": width}
    images = Images(
        {
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "do_center_crop": mode == "shortest",
            "size": edges if mode == "squash" else {"shortest_edge": height},
            "crop_size": edges,
            "resample": FILTERS.get(settings["interpolation"], FILTERS["bicubic"]),
            "rescale_factor": 1 / 255,
            "image_mean": list(settings["mean"]),
            "image_std": list(settings["std"]),
        },
        PATCH,
    )
    if isinstance(images.framing, Framing):
        images.framing = EvenFraming(**vars(images.framing))
    return images
