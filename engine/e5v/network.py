"""A checkpoint's network: loaded onto its device, complete, and only its decoder quantised."""

from typing import Any

import torch
from transformers import LlavaNextForConditionalGeneration

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.devices import pick_attention
from oneword.engine.errors import (
    DeviceOutOfMemory,
    DeviceUnavailable,
    EngineError,
    MissingDependency,
    ModelError,
    WrongCheckpoint,
)

DECODER = "model.language_model."
"""What the names of the decoder's layers begin with in transformers 5."""


def load_network(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, bits: Any) -> Any:
    """Returns a `LlavaNextForConditionalGeneration` on the device, for inference.

    Weights are read straight onto the device, without a copy of the whole model in the host's memory. With `bits` that
    has been run on a CPU only.

    Args:
        bits: a `BitsAndBytesConfig`, or None.

    Raises:
        WrongCheckpoint: weights are missing, or are not those that config.json describes.
        DeviceOutOfMemory: the device, or the host, has no room for the weights.
        MissingDependency: a package is missing or broken.
        DeviceUnavailable: CUDA does not run on this device.
        ModelError: something else was quantised than the decoder.
    """
    try:
        network, found = LlavaNextForConditionalGeneration.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            attn_implementation=pick_attention(device, dtype),
            quantization_config=bits,
            device_map={"": device},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # a malformed file fails wherever its reader stumbles
        raise _named(error, checkpoint.model, device) from error
    missing = sorted(found["missing_keys"])
    misfit = sorted(str(entry[0]) for entry in found["mismatched_keys"])
    if missing or misfit:
        wrong = missing + misfit
        shown = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise WrongCheckpoint(
            f"{checkpoint.model}: {len(missing)} weights are missing and {len(misfit)} have another shape "
            f"than config.json says: {shown}; expected all of {type(network).__name__}'s"
        )
    if bits is not None:
        check_quantised(network)
    image_id, rows = network.config.image_token_id, network.get_input_embeddings().weight.shape[0]
    if image_id >= rows:
        # Its row is never read, as picture features take its place, but a look-up past the table would fail.
        network.resize_token_embeddings(image_id + 1, mean_resizing=False)
    _trim_tower(network)
    return network.eval().requires_grad_(False)


def quantised_layers(network: torch.nn.Module) -> set[str]:
    """Returns the names of the linear layers whose weights bitsandbytes has taken over."""
    return {
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and type(module).__module__.startswith("bitsandbytes.")
    }


def check_quantised(network: torch.nn.Module, within: str = DECODER) -> None:
    """Raises ModelError unless the linear layers whose names begin so are quantised, all of them and no others."""
    linear = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)}
    expected = {name for name in linear if name.startswith(within)}
    if wrong := sorted(quantised_layers(network) ^ expected):
        raise ModelError(
            f"quantising chose the wrong layers ({len(wrong)}, such as {wrong[0]}): expected the decoder's "
            f"{len(expected)} linear layers and no others; drop --quantise, or install transformers 5.24"
        )


def _named(error: Exception, model: str, device: torch.device) -> EngineError:
    """Returns what went wrong by its own name: memory, a package and a device are no faults of a checkpoint."""
    reason = str(error).strip().split("\n")[0]
    failed = isinstance(error, torch.AcceleratorError)
    if isinstance(error, torch.OutOfMemoryError) or (failed and "out of memory" in reason):
        return DeviceOutOfMemory(
            f"{model}: its weights do not fit {device} ({reason}): load them smaller (--quantise nf4), end what else "
            "uses the device, or take another one (--device cuda:N or cpu)"
        )
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return DeviceOutOfMemory(
            f"{model}: its weights do not fit this machine's memory ({reason}): load them smaller (--dtype bf16), or "
            "end other programs"
        )
    if isinstance(error, ImportError):
        return MissingDependency(f"{model}: loading it needs a package that is missing or broken: {reason}")
    if failed:
        return DeviceUnavailable(
            f"{model}: {device} failed ({reason}): expected a GPU that torch {torch.__version__} was built for; "
            "try another one, --device cpu, or another build of torch"
        )
    return WrongCheckpoint(f"{model}: the weights cannot be loaded: {error}")


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
