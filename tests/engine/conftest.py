"""torchvision beside a build of torch for CPUs."""

import warnings
from importlib.util import find_spec

import torch


def _import_torchvision() -> None:
    """Its wheels of the package index want CUDA's libraries. Without their compiled part, transforms still work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of image files that it cannot read
        try:
            import torchvision
        except RuntimeError:
            for name in ("nms", "qnms"):
                torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
            import torchvision  # noqa: F401


if find_spec("torchvision") is not None:
    _import_torchvision()
