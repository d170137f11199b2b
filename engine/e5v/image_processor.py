"""An image to tiles, and its size to a number of tokens.

LLaVA-NeXT sees an image as one square overview and up to four square tiles of an enlarged copy, whatever its
shape. Rescaling and normalisation wait until the tiles are on the device, so that bytes travel there and not floats.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from oneword.engine.e5v.assembly import AS_PUBLISHED, STANDARD, Preprocessing, PublishedTiler, published_shape
from oneword.engine.e5v.tiling import Tiler

# Of the image processor's settings, these say how to call it or name files, and change no pixel.
_VOLATILE = frozenset(
    "_processor_class processor_class image_processor_type auto_map device return_tensors disable_grouping "
    "input_data_format data_format _valid_kwargs_names".split()
)


class ImageProcessor:
    """Tiling and counting, as one checkpoint does it.

    Args:
        processor: a `LlavaNextProcessor` whose patch size, selection strategy and number of additional tokens
            are those of the model's tower.
        preprocessing: how tiles are put together; the processor must cut them to fit.

    Legend: t tiles, s side of a tile in pixels.
    """

    def __init__(self, processor: Any, preprocessing: Preprocessing = STANDARD) -> None:
        self._processor = processor
        self._settings = processor.image_processor
        self._preprocessing = preprocessing
        self.side = int(self._settings.crop_size["height"])
        self.tiles = (Tiler if preprocessing == STANDARD else PublishedTiler)(
            side=self.side,
            grids=tuple((int(height), int(width)) for height, width in self._settings.image_grid_pinpoints),
            resample=int(self._settings.resample),
        )
        self.tokens = lru_cache(maxsize=4096)(self._tokens)
        self._mean = torch.tensor(self._settings.image_mean).view(1, 3, 1, 1)
        self._deviation = torch.tensor(self._settings.image_std).view(1, 3, 1, 1)

    def _tokens(self, size: tuple[int, int]) -> int:
        """How many tokens an image of (width, height) takes: those of its overview, of the part of its grid that is
        no blank border, and one at the end of each row (`pack_image_features` of transformers' LLaVA-NeXT).
        """
        width, height = size
        patches = self.side // self._processor.patch_size
        rows, columns = (patches * (length // self.side) for length in self.tiles.grid(size))
        if self._preprocessing == AS_PUBLISHED:
            rows, columns = published_shape((height, width), columns, rows)
        elif width / height > columns / rows:
            rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
        else:
            columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
        dropped = self._processor.vision_feature_select_strategy == "default"  # a tile's first feature
        overview = patches**2 + self._processor.num_additional_image_tokens - dropped
        return int(overview + rows * (columns + 1))

    def normalized(self, tiles: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 (t, 3, s, s) on any device to the floats that the tower expects there."""
        pixels = tiles.to(torch.float32, copy=True)
        if self._settings.do_rescale:
            pixels.mul_(self._settings.rescale_factor)
        if self._settings.do_normalize:
            pixels.sub_(self._mean.to(tiles.device)).div_(self._deviation.to(tiles.device))
        return pixels.to(dtype)

    def settings(self) -> dict[str, Any]:
        """What decides over a pixel or the number of tokens, JSON-ready."""
        kept = {key: value for key, value in self._settings.to_dict().items() if key not in _VOLATILE}
        return {
            **({"assembly": self._preprocessing} if self._preprocessing != STANDARD else {}),
            "image_processor": type(self._settings).__name__,
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
