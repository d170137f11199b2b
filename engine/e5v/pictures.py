"""A picture to tiles, and its size to a number of tokens.

LLaVA-NeXT sees a picture as one square overview and up to four square tiles of an enlarged copy, whatever its
shape. Both steps are transformers' own; only rescaling and normalisation wait until the tiles are on the
device, so that bytes travel there and not floats.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.image_processing_utils import select_best_resolution

# Of the image processor's settings, these say how to call it or name files, and change no pixel.
_VOLATILE = frozenset(
    "_processor_class processor_class image_processor_type auto_map device return_tensors disable_grouping "
    "input_data_format data_format _valid_kwargs_names".split()
)


class Pictures:
    """Tiling and counting, as one checkpoint does it.

    Args:
        processor: a `LlavaNextProcessor` whose patch size, selection strategy and number of additional tokens
            are those of the model's tower.

    Legend: t tiles, s side of a tile in pixels.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tiler = processor.image_processor
        self.grids = [list(grid) for grid in self._tiler.image_grid_pinpoints]
        self.side = int(self._tiler.crop_size["height"])
        self.tokens = lru_cache(maxsize=4096)(self._tokens)
        self._mean = torch.tensor(self._tiler.image_mean).view(1, 3, 1, 1)
        self._deviation = torch.tensor(self._tiler.image_std).view(1, 3, 1, 1)

    def _tokens(self, size: tuple[int, int]) -> int:
        """How many tokens a picture of (width, height) takes."""
        width, height = size
        counted = self._processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
        return int(counted.num_image_tokens[0])

    def tile_count(self, size: tuple[int, int]) -> int:
        """How many tiles a picture of (width, height) is cut into, the overview included."""
        width, height = size
        down, across = select_best_resolution((height, width), self.grids)
        return int(down // self.side * (across // self.side) + 1)

    def tiles(self, image: PIL.Image.Image) -> NDArray[np.uint8]:
        """uint8 (t, 3, s, s): the overview, then the tiles in reading order."""
        cut = self._tiler(
            images=[image],
            do_convert_rgb=False,
            do_rescale=False,
            do_normalize=False,
            do_pad=False,
        )["pixel_values"][0]
        return np.asarray(cut, dtype=np.uint8)

    def normalised(self, tiles: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 (t, 3, s, s) on any device to the floats that the tower expects there."""
        pixels = tiles.to(torch.float32, copy=True)
        if self._tiler.do_rescale:
            pixels.mul_(self._tiler.rescale_factor)
        if self._tiler.do_normalize:
            pixels.sub_(self._mean.to(tiles.device)).div_(self._deviation.to(tiles.device))
        return pixels.to(dtype)

    def settings(self) -> dict[str, Any]:
        """What decides over a pixel or the number of tokens, JSON-ready."""
        kept = {key: value for key, value in self._tiler.to_dict().items() if key not in _VOLATILE}
        return {
            "image_processor": type(self._tiler).__name__,
            **{key: _plain(value) for key, value in sorted(kept.items())},
            "patch_size": self._processor.patch_size,
            "vision_feature_select_strategy": self._processor.vision_feature_select_strategy,
            "num_additional_image_tokens": self._processor.num_additional_image_tokens,
        }


def _plain(value: Any) -> Any:
    """Tuples to lists and enumerations to their value, as JSON would read them back."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return getattr(value, "value", value)
