"""Images resized and cut as a dual encoder expects them, by Pillow alone.

Light to import and to pickle, as the processes that decode images do both. The bytes are those of transformers'
image processors with their PIL backend; tests compare them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

LONGEST = 16
"""A resized image longer than this many crops is cut before it is resized: 1x10,000 pixels would need 1.5 GB at 224."""


@dataclass(frozen=True, kw_only=True)
class Framing:
    """One tile an image: resize, then cut out the center.

    Args:
        size: (height, width) to resize to; an integer is the length of the shorter edge.
        crop: (height, width) of the center that is kept; None keeps all.
        resample: one of Pillow's filters.
    """

    size: int | tuple[int, int]
    crop: tuple[int, int] | None
    resample: int

    def __call__(self, picture: PIL.Image.Image) -> NDArray[np.uint8]:
        """Returns uint8 (1, 3, h, w).

        Args:
            picture: RGB.
        """
        filter_ = PIL.Image.Resampling(self.resample)
        if isinstance(self.size, tuple):
            resized = picture.resize(self.size[::-1], filter_)
        else:
            picture = self._bounded(picture)
            short, long = sorted(picture.size)
            longer = int(self.size * long / short)
            wide = picture.width > picture.height
            resized = picture.resize((longer, self.size) if wide else (self.size, longer), filter_)
        return np.array(np.asarray(self._cropped(resized)).transpose(2, 0, 1)[None], order="C")

    def _bounded(self, picture: PIL.Image.Image) -> PIL.Image.Image:
        """Returns the center of an image too long to be resized as a whole."""
        if self.crop is None:
            return picture
        short, long = sorted(picture.size)
        most = short * LONGEST * max(self.crop) // int(self.size)  # type: ignore[arg-type]
        if long <= max(most, 1):
            return picture
        start = (long - most) // 2
        box = (start, 0, start + most, short) if picture.width > picture.height else (0, start, short, start + most)
        return picture.crop(box)

    def _cropped(self, picture: PIL.Image.Image) -> PIL.Image.Image:
        if self.crop is None:
            return picture
        height, width = self.crop
        left, top = self._margin(picture.width - width), self._margin(picture.height - height)
        return picture.crop((left, top, left + width, top + height))  # black where the image is smaller

    def _margin(self, over: int) -> int:
        return over // 2


class EvenFraming(Framing):
    """As torchvision's `CenterCrop`, which rounds half a pixel to the even one."""

    def _margin(self, over: int) -> int:
        return round(over / 2)


@dataclass(frozen=True, kw_only=True)
class Patching:
    """Patches of an image in its own shape (SigLIP 2 NaFlex, arXiv 2502.14786).

    Args:
        side: of a patch, in pixels.
        most: patches an image may have.
        resample: one of Pillow's filters.
    """

    side: int
    most: int
    resample: int

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns (rows, columns) of patches for an image of (width, height)."""
        return _shape(size, self.side, self.most)

    def __call__(self, picture: PIL.Image.Image) -> NDArray[np.uint8]:
        """Returns the patches in reading order, uint8 (rows * columns, 3, s, s).

        Args:
            picture: RGB.
        """
        rows, columns = self.shape(picture.size)
        side = self.side
        resized = picture.resize((columns * side, rows * side), PIL.Image.Resampling(self.resample))
        cut = np.asarray(resized).reshape(rows, side, columns, side, 3).transpose(0, 2, 4, 1, 3)
        return np.array(cut, order="C").reshape(rows * columns, 3, side, side)


@lru_cache(maxsize=4096)
def _shape(size: tuple[int, int], side: int, most: int) -> tuple[int, int]:
    """Returns the largest grid at the image's shape, by the bisection of transformers' `Siglip2ImageProcessor`."""
    width, height = size

    def grid(scale: float) -> tuple[int, int]:
        return tuple(max(1, math.ceil(length * scale / side)) for length in (height, width))  # type: ignore[return-value]

    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        middle = (low + high) / 2
        rows, columns = grid(middle)
        low, high = (middle, high) if rows * columns <= most else (low, middle)
    return grid(low)


def framing_of(settings: dict[str, Any]) -> Framing | Patching:
    """Returns what an image processor's settings ask for.

    Args:
        settings: of a `preprocessor_config.json`, completed by the processor's defaults.

    Raises:
        ValueError: a setting that neither has, with its name and value.
    """
    resample = int(settings["resample"])
    if settings.get("max_num_patches"):
        return Patching(side=int(settings["patch_size"]), most=int(settings["max_num_patches"]), resample=resample)
    for name in ("do_resize", "do_rescale", "do_normalize"):
        if not settings.get(name):
            raise ValueError(f"{name} is {settings.get(name)!r}: expected True")
    size, crop = settings["size"], settings.get("crop_size")
    if size.get("shortest_edge") and not size.get("longest_edge"):
        edges: int | tuple[int, int] = int(size["shortest_edge"])
    elif size.get("height") and size.get("width"):
        edges = int(size["height"]), int(size["width"])
    else:
        raise ValueError(f"size is {size!r}: expected shortest_edge, or height and width")
    cut = (int(crop["height"]), int(crop["width"])) if settings.get("do_center_crop") and crop else None
    if isinstance(edges, int) and cut is None:
        raise ValueError(f"size is {size!r} without a center crop: expected images of one size")
    return Framing(size=edges, crop=cut, resample=resample)
