"""Cuts the images of a batch into tiles, on all cores: Pillow lets other threads run while it resizes."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from oneword.engine.encoder import Tiler
from oneword.engine.inputs import Image, Tiled


def tiles_of(images: Sequence[Image], tiler: Tiler) -> list[NDArray[np.uint8]]:
    """Returns the tiles of each image, uint8 (t, 3, h, w); those of a `Tiled` are there already."""
    whole = sum(not isinstance(image, Tiled) for image in images)
    with ThreadPoolExecutor(max(1, min(whole, os.cpu_count() or 1)), thread_name_prefix="tiles") as threads:
        return list(threads.map(lambda one: one.tiles if isinstance(one, Tiled) else tiler(one.pixels), images))
