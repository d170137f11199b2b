"""A checkpoint's network: loaded onto its device, complete, and only its decoder quantized."""

from typing import Any

import torch
from transformers import LlavaNextForConditionalGeneration

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.errors import ModelError
from oneword.engine.pretrained import weights

DECODER = "model.language_model."
"""What the names of the decoder's layers begin with in transformers 5."""


def load_network(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, bits: Any) -> Any:
    """Returns a `LlavaNextForConditionalGeneration` on the device.

    Args:
        bits: a `BitsAndBytesConfig`, or None.

    Raises:
        ModelError: something else was quantized than the decoder.
        EngineError: see `oneword.engine.pretrained.weights`.
    """
    network = weights(checkpoint, LlavaNextForConditionalGeneration, device, dtype, bits)
    if bits is not None:
        check_quantized(network)
    image_id, rows = network.config.image_token_id, network.get_input_embeddings().weight.shape[0]
    if image_id >= rows:
        # Its row is never read, as image features take its place, but a look-up past the table would fail.
        network.resize_token_embeddings(image_id + 1, mean_resizing=False)
    _trim_tower(network)
    return network


def quantized_layers(network: torch.nn.Module) -> set[str]:
    """Returns the names of the linear layers whose weights bitsandbytes has taken over."""
    return {
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and type(module).__module__.startswith("bitsandbytes.")
    }


def check_quantized(network: torch.nn.Module, within: str = DECODER) -> None:
    """Raises ModelError unless the linear layers whose names begin so are quantized, all of them and no others."""
    linear = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)}
    expected = {name for name in linear if name.startswith(within)}
    if wrong := sorted(quantized_layers(network) ^ expected):
        raise ModelError(
            f"quantizing chose the wrong layers ({len(wrong)}, such as {wrong[0]}): expected the decoder's "
            f"{len(expected)} linear layers and no others; drop --quantize, or install transformers 5.24"
        )


def _trim_tower(network: Any) -> None:
    """Drops the vision layers above the one that is looked at (E5-V: the last of 24); nothing reads them."""
    layer = network.config.vision_feature_layer
    encoder: Any = getattr(network.model.vision_tower, "encoder", None)
    if not isinstance(layer, int) or not hasattr(encoder, "layers"):
        return
    depth = len(encoder.layers)
    # Hidden states are counted from the embeddings, 0, to the last layer's output, `depth`.
    used = layer if layer >= 0 else depth + 1 + layer
    if 0 < used < depth:
        encoder.layers = encoder.layers[:used]
        network.model.vision_tower.config.num_hidden_layers = used
        network.config.vision_feature_layer = used
