"""An image cut into tiles as LLaVA-NeXT does it, by Pillow alone.

Light to import and to pickle, as the processes that decode images do both. The bytes are those of transformers'
`LlavaNextImageProcessorPil`; tests compare them.
"""

import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Tiles = NDArray[np.uint8]
"""(t, 3, s, s): t tiles of s times s pixels, the overview first."""


@dataclass(frozen=True, kw_only=True)
class Tiler:
    """Cuts images as one checkpoint does it.

    Args:
        side: of a tile, in pixels.
        grids: (height, width) in pixels that the enlarged copy may have; multiples of `side`.
        resample: one of Pillow's filters.
    """

    side: int
    grids: tuple[tuple[int, int], ...]
    resample: int

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the (height, width) that an image of (width, height) is fitted into.

        It is the grid that shows most of the image's pixels, and of those the one with the least blank space.
        """
        width, height = size

        def merit(grid: tuple[int, int]) -> tuple[int, int]:
            scale = min(grid[1] / width, grid[0] / height)
            shown = min(int(width * scale) * int(height * scale), width * height)
            return shown, shown - grid[0] * grid[1]

        return max(self.grids, key=merit)  # the first of equals

    def count(self, size: tuple[int, int]) -> int:
        """Returns how many tiles an image of (width, height) is cut into, the overview included."""
        height, width = self.grid(size)
        return (height // self.side) * (width // self.side) + 1

    def __call__(self, image: PIL.Image.Image) -> Tiles:
        """Returns the overview, then the tiles in reading order.

        Args:
            image: RGB.
        """
        down, across = self.grid(image.size)
        width, height = _fitted(image.size, (across, down))
        canvas = PIL.Image.new("RGB", (across, down))
        enlarged = image.resize((width, height), PIL.Image.Resampling(self.resample))
        canvas.paste(enlarged, ((across - width) // 2, (down - height) // 2))
        side, rows, columns = self.side, down // self.side, across // self.side
        tiles = np.empty((rows * columns + 1, 3, side, side), np.uint8)
        overview = image.resize((side, side), PIL.Image.Resampling(self.resample))
        tiles[0] = np.asarray(overview).transpose(2, 0, 1)
        cut = np.asarray(canvas).reshape(rows, side, columns, side, 3).transpose(0, 2, 4, 1, 3)
        tiles[1:].reshape(rows, columns, 3, side, side)[:] = cut
        return tiles


def _fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """Returns the largest (width, height) of an image's shape that fits into a room, its shorter side rounded up."""
    width, height = size
    if room[0] / width < room[1] / height:
        return room[0], min(math.ceil(height * (room[0] / width)), room[1])
    return min(math.ceil(width * (room[1] / height)), room[0]), room[1]
