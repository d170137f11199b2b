"""How an image is cut into tiles and put together again: rightly, or as when E5-V was measured.

kongds/E5-V pins transformers 4.41.2, which differs from today's in three ways
(huggingface/transformers:src/transformers/models/llava_next at v4.41.2; issue 31327, mended by 32314 after the paper):

- It swaps height and width of the grid. Two tiles beside each other are put together as if one lay under the other, so
  images whose grid is not square become a jumble, of another number of tokens. All captions that are rendered for
  image-to-image retrieval are such images, and so are most of 3:2.
- Where the padding of the enlarged copy is odd, it lacks a pixel. The last tiles are then scaled up by it and cropped.
- What is padding is worked out in float32 and not rounded, which may cut one row or column of features more.

Vectors of both lie in different spaces: `ImageProcessor.settings` tells them apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from transformers import LlavaNextImageProcessorPil
from transformers.image_processing_utils import select_best_resolution

from oneword.engine.e5v.tiling import Tiler, Tiles
from oneword.engine.errors import ModelError

Preprocessing = Literal["standard", "as-published"]
"""standard: as the model was trained to see. as-published: as the paper's figures were measured."""

STANDARD: Preprocessing = "standard"
AS_PUBLISHED: Preprocessing = "as-published"

Size = tuple[int, int]
"""Height and width."""


def checked(name: str) -> Preprocessing:
    """The preprocessing of that name. Raises ModelError if there is none."""
    for known in get_args(Preprocessing):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ModelError(f"preprocessing {name!r}: expected {' or '.join(get_args(Preprocessing))}")


class PublishedImageProcessor(LlavaNextImageProcessorPil):  # type: ignore[misc]
    """Transformers' own, with as much padding on the right as on the left, and below as above."""

    def _get_padding_size(self, original_resolution: Size, target_resolution: Size) -> tuple[Size, Size]:
        over = [(target - own) // 2 for own, target in zip(original_resolution, target_resolution, strict=True)]
        return (over[0], over[0]), (over[1], over[1])


@dataclass(frozen=True, kw_only=True)
class PublishedTiler(Tiler):
    """Cuts images by that processor: slower than Pillow alone, for figures to be compared with the paper's."""

    def __call__(self, image: PIL.Image.Image) -> Tiles:
        """See `Tiler`."""
        plain = {"do_convert_rgb": False, "do_rescale": False, "do_normalize": False, "do_pad": False}
        cut = _processor(self.side, self.grids, self.resample)(images=[image], **plain)["pixel_values"][0]
        return np.asarray(cut, dtype=np.uint8)


@lru_cache(maxsize=4)
def _processor(side: int, grids: tuple[tuple[int, int], ...], resample: int) -> PublishedImageProcessor:
    return PublishedImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=[list(grid) for grid in grids],
        resample=resample,
    )


def published_grid(size: Size, grids: Sequence[Sequence[int]], side: int) -> tuple[int, int]:
    """Rows and columns that tiles are put together in: the grid that they were cut in, lying on its side."""
    height, width = select_best_resolution(size, grids)
    return int(width // side), int(height // side)


def published_shape(size: Size, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of features that are left of so many when the padding is cut off.

    As 4.41.2 computes it: sizes are tensors there, so numbers are float32, and a whole number divided by a tensor is
    the tensor's reciprocal times that number.
    """
    height, width = (np.float32(length) for length in size)
    if width / height > np.float32(columns / rows):
        inner = int(height * (np.float32(1) / width * np.float32(columns)))
        return rows - (rows - inner) // 2 * 2, columns
    inner = int(width * (np.float32(1) / height * np.float32(rows)))
    return rows, columns - (columns - inner) // 2 * 2


def published_packing(config: Any) -> Callable[..., tuple[list[Tensor], Tensor]]:
    """Takes the place of a LLaVA-NeXT model's `pack_image_features`. config: the model's."""
    side = config.vision_config.image_size
    patches = side // config.vision_config.patch_size

    def pack(
        image_features: Sequence[Tensor],
        image_sizes: Sequence[Sequence[int]],
        vision_feature_select_strategy: str | None = None,  # noqa: ARG001 - transformers passes it
        image_newline: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Of each image's tiles (t, p p, d): the overview, then the rows of the others, each with its newline."""
        packed = []
        for features, (height, width) in zip(image_features, image_sizes, strict=True):
            size = int(height), int(width)
            rows, columns = published_grid(size, config.image_grid_pinpoints, side)
            whole = features[1:].view(rows, columns, patches, patches, -1).transpose(1, 2)
            whole = whole.reshape(rows * patches, columns * patches, -1)  # (r p, c p, d)
            down, across = published_shape(size, *whole.shape[:2])
            top, left = (whole.shape[0] - down) // 2, (whole.shape[1] - across) // 2
            whole = whole[top : top + down, left : left + across]
            if image_newline is not None:
                whole = torch.cat([whole, image_newline.to(whole).expand(down, 1, -1)], dim=1)
            packed.append(torch.cat([features[0], whole.flatten(0, 1)]))
        return packed, torch.tensor([len(one) for one in packed], device=packed[0].device)

    return pack
