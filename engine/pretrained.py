"""Loads the parts of a checkpoint with transformers, with one named error for each failure.

Nothing here runs a checkpoint's own code, reads pickles or contacts the hub.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.devices import pick_attention
from oneword.engine.errors import (
    DeviceOutOfMemory,
    DeviceUnavailable,
    EngineError,
    MissingDependency,
    WrongCheckpoint,
)


def configuration(checkpoint: Checkpoint) -> Any:
    """Returns the checkpoint's configuration, of its architecture's class. Raises WrongCheckpoint."""
    try:
        return AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a malformed file may raise anything
        raise WrongCheckpoint(f"{checkpoint.model}: config.json cannot be used: {error}") from error


def tokenizer(checkpoint: Checkpoint) -> Any:
    """Returns the checkpoint's tokenizer, one with a `tokenizers` backend.

    Raises:
        WrongCheckpoint: it cannot be loaded, or is slow.
        MissingDependency: it needs a package that is not installed.
    """
    try:
        found = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except ImportError as error:
        raise MissingDependency(f"{checkpoint.model}: its tokenizer needs a package: {error}") from error
    except Exception as error:  # as above
        raise WrongCheckpoint(f"{checkpoint.model}: the tokenizer cannot be loaded: {error}") from error
    if not getattr(found, "is_fast", False):
        raise WrongCheckpoint(f"{checkpoint.model}: the tokenizer is slow: expected one with a tokenizer.json")
    return found


def image_processor(checkpoint: Checkpoint, kind: Any, **options: Any) -> Any:
    """Returns the checkpoint's image processor with the PIL backend: the same pixels with and without torchvision.

    Args:
        kind: the class to load it by.
        options: for its `from_pretrained`.

    Raises:
        WrongCheckpoint: it cannot be loaded.
    """
    try:
        return kind.from_pretrained(checkpoint.folder, local_files_only=True, **options)
    except Exception as error:  # as above
        raise WrongCheckpoint(f"{checkpoint.model}: the image processor cannot be loaded: {error}") from error


def weights(checkpoint: Checkpoint, kind: Any, device: torch.device, dtype: torch.dtype, bits: Any = None) -> Any:
    """Returns a network on the device, all of its weights those of the checkpoint.

    Weights are read straight onto the device, without a copy of the whole model in the host's memory. With `bits` that
    has been run on a CPU only.

    Args:
        kind: the class to load it by.
        bits: a `BitsAndBytesConfig`, or None.

    Raises:
        WrongCheckpoint: weights are missing, or are not those that config.json describes.
        DeviceOutOfMemory: the device, or the host, has no room for the weights.
        MissingDependency: a package is missing or broken.
        DeviceUnavailable: CUDA does not run on this device.
    """
    try:
        network, found = kind.from_pretrained(
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
    except Exception as error:  # as above
        raise named(error, checkpoint.model, device) from error
    missing = sorted(found["missing_keys"])
    misfit = sorted(str(entry[0]) for entry in found["mismatched_keys"])
    if missing or misfit:
        wrong = missing + misfit
        shown = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise WrongCheckpoint(
            f"{checkpoint.model}: {len(missing)} weights are missing and {len(misfit)} have another shape "
            f"than config.json says: {shown}; expected all of {type(network).__name__}'s"
        )
    return network


def named(error: Exception, model: str, device: torch.device) -> EngineError:
    """Returns the error for a failure to load: of memory, a package or a device, else of the checkpoint."""
    reason = str(error).strip().split("\n")[0]
    failed = isinstance(error, torch.AcceleratorError)
    if isinstance(error, torch.OutOfMemoryError) or (failed and "out of memory" in reason):
        return DeviceOutOfMemory(
            f"{model}: its weights do not fit {device} ({reason}): load them smaller (--quantize nf4), end what else "
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
