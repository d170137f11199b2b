"""Device, dtype and token budget of a model."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypedDict, TypeVar

import torch

from oneword.engine.batches import Budget
from oneword.engine.dependencies import require
from oneword.engine.errors import DeviceOutOfMemory, DeviceUnavailable

Result = TypeVar("Result")

_AMPERE = (8, 0)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

CPU_TOKENS = 4096
"""Token budget on the CPU: larger batches fall out of its caches (see benchmarks/encode.py)."""
CPU_ENOUGH = 512
CUDA_ENOUGH = 4096
"""Tokens from which on matrix products of 8 B parameters keep a current GPU busy."""
CUDA_TOKENS = (4096, 65_536)
"""Lowest and highest budget derived from a GPU's free memory."""
CUDA_SHARE = 0.5
"""Share of the free memory in the budget; the rest is for fragmentation and for the vision tower."""
KEPT = ("lm_head", "model.vision_tower", "model.multi_modal_projector")
"""What is not quantized, by its full name in `LlavaNextForConditionalGeneration` of transformers 5. An
unknown name is silently ignored there, so `oneword.engine.e5v.network` checks the result."""


class Placement(TypedDict, total=False):
    """Where a model runs, in what precision, and how much of its work at once; each may be left out.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "bf16", "fp16" or "fp32".
        max_batch: maximum inputs in one forward pass.
        max_tokens_per_batch: maximum tokens in one, padding included, or patches of an image tower; by default what
            the device takes well. Models of sentence-transformers do not use it.
        compile: see `oneword.engine.compiling`.
    """

    device: str
    dtype: str
    max_batch: int | None
    max_tokens_per_batch: int | None
    compile: bool


def pick(placement: Placement) -> tuple[torch.device, torch.dtype]:
    """Returns the device and the dtype. Raises DeviceUnavailable; TypeError for what `Placement` does not have."""
    if unknown := placement.keys() - Placement.__annotations__.keys():
        raise TypeError(f"unexpected arguments {sorted(unknown)}: expected {', '.join(Placement.__annotations__)}")
    device = pick_device(placement.get("device", "auto"))
    return device, pick_dtype(placement.get("dtype", "auto"), device)


def pick_device(requested: str) -> torch.device:
    """Returns the device of that name; "auto" prefers CUDA.

    Raises:
        DeviceUnavailable: no such device here, or no such name.
    """
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(requested)
    except RuntimeError:
        device = None
    if device is None or (device.type != "cuda" and requested != "cpu"):
        raise DeviceUnavailable(f"device {requested!r}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            raise DeviceUnavailable(
                f"device {requested!r}: torch {torch.__version__} sees {there} CUDA devices here; "
                "use --device cpu, or install a CUDA build of torch and its driver"
            )
        return torch.device("cuda", device.index or 0)
    return device


def pick_dtype(requested: str, device: torch.device) -> torch.dtype:
    """Returns the dtype of that name; "auto" is bf16 on a GPU that has it, else fp16, and fp32 on a CPU.

    Raises:
        DeviceUnavailable: no such dtype, or not on this device.
    """
    if requested != "auto" and requested not in _DTYPES:
        raise DeviceUnavailable(f"dtype {requested!r}: expected auto, {', '.join(_DTYPES)}")
    if device.type == "cpu":
        return _DTYPES["fp32" if requested == "auto" else requested]
    has_bf16 = torch.cuda.get_device_capability(device) >= _AMPERE
    if requested == "bf16" and not has_bf16:
        raise DeviceUnavailable(f"dtype 'bf16': {torch.cuda.get_device_name(device)} has none; use fp16")
    return _DTYPES[requested] if requested != "auto" else torch.bfloat16 if has_bf16 else torch.float16


def pick_attention(device: torch.device, dtype: torch.dtype) -> str:
    """Returns FlashAttention 2 where it is installed and can run (16 bit, Ampere or newer), else PyTorch's own."""
    can = device.type == "cuda" and dtype != torch.float32 and torch.cuda.get_device_capability(device) >= _AMPERE
    return "flash_attention_2" if can and find_spec("flash_attn") else "sdpa"


def quantization(kind: str | None, device: torch.device, dtype: torch.dtype) -> Any:
    """Returns a `BitsAndBytesConfig` for "int8" or "nf4", None for None.

    Tower, projector and head keep their precision.

    Raises:
        DeviceUnavailable: an unknown kind, or no CUDA device.
        MissingDependency: bitsandbytes is not installed.
    """
    if kind is None:
        return None
    if kind not in ("int8", "nf4"):
        raise DeviceUnavailable(f"quantize {kind!r}: expected int8 or nf4")
    if device.type != "cuda":
        raise DeviceUnavailable(f"quantize {kind!r} needs a CUDA device, this is {device}; drop --quantize")
    require("bitsandbytes", "accelerate", extra="gpu")
    return bits(kind, dtype)


def bits(kind: str, dtype: torch.dtype) -> Any:
    """Returns the `BitsAndBytesConfig` for "int8" or "nf4"; `dtype` is that of the computation in 4 bit."""
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # a warning a layer and batch
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(KEPT))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(KEPT),
    )


def budget(
    device: torch.device,
    dtype: torch.dtype,
    *,
    hidden: int,
    intermediate: int,
    placement: Placement,
) -> Budget:
    """Returns the token budget, as configured or derived from free memory once the weights are loaded.

    At its fullest a decoder layer holds three MLP-wide and about eight model-wide values for each token. With
    Llama-3-8B in 16 bit that is 150 KB a token: some 20,000 tokens on a 24 GB GPU, the cap on one of 80 GB.
    """
    tokens, rows = placement.get("max_tokens_per_batch"), placement.get("max_batch")
    if device.type == "cpu":
        return Budget(tokens=tokens or CPU_TOKENS, rows=rows, enough=CPU_ENOUGH)
    if tokens is None:
        free, _ = torch.cuda.mem_get_info(device)
        each = (3 * intermediate + 8 * hidden) * dtype.itemsize
        least, most = CUDA_TOKENS
        tokens = min(max(int(free * CUDA_SHARE / each), least), most)
    return Budget(tokens=tokens, rows=rows, enough=CUDA_ENOUGH)


def run(forward: Callable[[], Result], device: torch.device, rows: int, length: int) -> Result:
    """Returns what a forward pass returns.

    Args:
        rows, length: inputs in the batch, and tokens of the longest, for the error.

    Raises:
        DeviceOutOfMemory: the device has no memory for it. What was allocated is free again.
    """
    try:
        return forward()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        reason = str(error).split("\n")[0]
    # Outside the handler: the exception held on to what its frames had allocated.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise DeviceOutOfMemory(
        f"{device} has no memory for {rows} inputs of {length} tokens ({reason}): "
        + ("lower --max-tokens-per-batch, or " if rows > 1 else "")
        + "load the weights smaller (--quantize nf4), or end what else uses the device"
    )
