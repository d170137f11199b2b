"""From a checkpoint's files to a dual encoder that is ready to run."""

from typing import Any, Unpack

import torch
from transformers import AutoImageProcessor, AutoModel

from oneword.engine.batches import Budget
from oneword.engine.checkpoint import DUAL, Checkpoint, find
from oneword.engine.compiling import ready
from oneword.engine.dependencies import quiet
from oneword.engine.devices import CPU_ENOUGH, Placement, pick
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.dual.images import Images
from oneword.engine.dual.texts import Texts
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.pretrained import configuration, image_processor, tokenizer, weights

CPU_TOKENS = 4096
CUDA_TOKENS = 131_072
"""Patches or tokens in a forward pass: towers of 100 M to 1 B parameters, so a few GB on a GPU."""
CUDA_ENOUGH = 16_384
"""Tokens from which on such a tower keeps a GPU busy. An estimate."""


def load_dual(
    model: str | Checkpoint,
    *,
    revision: str | None = None,
    **placement: Unpack[Placement],
) -> DualEncoder:
    """Loads CLIP, SigLIP, SigLIP 2 (of fixed size or NaFlex) or MetaCLIP 2.

    Args:
        model: a Hugging Face id, a folder in transformers' format with safetensors weights, or one found already.
        revision: of a hub model: a branch, tag or commit.
        placement: see `Placement`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
        DeviceOutOfMemory: the weights do not fit.
    """
    place, number = pick(placement)
    checkpoint = find(model, revision, expected=DUAL)
    with quiet():
        config = configuration(checkpoint)
        texts = _texts(checkpoint, config)
        images = _images(checkpoint, config)
        network = ready(weights(checkpoint, AutoModel, place, number), placement, place)
    return DualEncoder(
        name=checkpoint.model,
        revision=checkpoint.revision(),
        see=lambda **given: network.get_image_features(**given).pooler_output,
        read=lambda **given: network.get_text_features(**given).pooler_output,
        dtype=network.dtype,
        dimension=_dimension(config),
        device=place,
        texts=texts,
        images=images,
        budget=budget(place, placement),
    )


def budget(device: torch.device, placement: Placement) -> Budget:
    """Returns the budget of two towers."""
    usual, enough = (CPU_TOKENS, CPU_ENOUGH) if device.type == "cpu" else (CUDA_TOKENS, CUDA_ENOUGH)
    return Budget(tokens=placement.get("max_tokens_per_batch") or usual, rows=placement.get("max_batch"), enough=enough)


def _texts(checkpoint: Checkpoint, config: Any) -> Texts:
    found = tokenizer(checkpoint)
    siglip = checkpoint.architecture.startswith("siglip")
    positions = int(config.text_config.max_position_embeddings)
    if found.pad_token_id is None:
        raise WrongCheckpoint(f"{checkpoint.model}: the tokenizer has no padding token: expected a pad_token")
    texts = Texts(found, positions=positions, full=siglip, lower=siglip and _lowered(found))
    if (most := texts.highest) >= config.text_config.vocab_size:
        raise WrongCheckpoint(
            f"{checkpoint.model}: the tokenizer gives token {most}, the text tower {config.text_config.vocab_size} "
            "embeddings (vocab_size in config.json): take both from one checkpoint"
        )
    return texts


def _lowered(found: Any) -> bool:
    """SigLIP 2's tokenizers ask for lower case in a setting that Gemma's class, which most of them name, ignores."""
    return bool(found.init_kwargs.get("do_lower_case"))


def _images(checkpoint: Checkpoint, config: Any) -> Images:
    processor = image_processor(checkpoint, AutoImageProcessor, backend="pil")
    vision = config.vision_config
    try:
        images = Images(processor.to_dict(), int(vision.patch_size))
    except (KeyError, TypeError, ValueError) as error:
        raise WrongCheckpoint(
            f"{checkpoint.model}: the image processor's settings cannot be followed: {error}"
        ) from error
    expected = (vision.patch_size if checkpoint.architecture == "siglip2" else vision.image_size,) * 2
    if images.side != expected:
        raise WrongCheckpoint(
            f"{checkpoint.model}: the image processor makes tiles of {images.side[1]}x{images.side[0]} pixels: "
            f"expected {expected[1]}x{expected[0]}, as in config.json; take both from one checkpoint"
        )
    return images


def _dimension(config: Any) -> int:
    """Length of both towers' vectors: CLIP projects them; SigLIP's text head says it."""
    return int(getattr(config, "projection_dim", None) or config.text_config.projection_size)
