"""Resized images to what a dual encoder's image tower takes."""

import json
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from oneword.engine.dual.framing import Framing, Patching, framing_of


class Images:
    """A checkpoint's image processor: `framing` where an image is decoded, the rest on the device.

    Args:
        settings: the image processor's, complete.
        patch: side of the tower's patches, in pixels.

    Raises:
        ValueError: a setting that cannot be followed.
    """

    def __init__(self, settings: dict[str, Any], patch: int) -> None:
        self.framing: Framing | Patching = framing_of(settings)
        self._settings, self._patch = settings, patch
        self._mean = torch.tensor(settings["image_mean"]).view(1, 3, 1, 1)
        self._deviation = torch.tensor(settings["image_std"]).view(1, 3, 1, 1)

    def shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns (rows, columns) of the tiles of an image of (width, height)."""
        return self.framing.shape(size) if isinstance(self.framing, Patching) else (1, 1)

    @property
    def patches(self) -> int:
        """How many patches the tower sees of an image, padding included."""
        if isinstance(self.framing, Patching):
            return self.framing.most
        side = self.side
        return (side[0] // self._patch) * (side[1] // self._patch)

    @property
    def side(self) -> tuple[int, int]:
        """(height, width) in pixels of a tile."""
        if isinstance(self.framing, Patching):
            return self.framing.side, self.framing.side
        edges = self.framing.crop or self.framing.size
        return edges if isinstance(edges, tuple) else (edges, edges)

    def inputs(self, tiles: Tensor, shapes: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        """Returns the image tower's arguments.

        Args:
            tiles: uint8 (t, 3, h, w) on the device.
            shapes: int64 (p, 2), on the CPU.
        """
        pixels = tiles.to(torch.float32).mul_(self._settings["rescale_factor"])
        pixels = pixels.sub_(self._mean.to(tiles.device)).div_(self._deviation.to(tiles.device)).to(dtype)
        if isinstance(self.framing, Framing):
            return {"pixel_values": pixels}
        flat = pixels.permute(0, 2, 3, 1).flatten(1)  # (t, s * s * 3)
        counts = shapes.prod(dim=1).tolist()
        rows = [F.pad(some, (0, 0, 0, self.framing.most - len(some))) for some in torch.split(flat, counts)]
        mask = torch.arange(self.framing.most)[None] < torch.tensor(counts)[:, None]
        return {
            "pixel_values": torch.stack(rows),
            "pixel_attention_mask": mask.to(tiles.device, torch.int32),
            "spatial_shapes": shapes.to(tiles.device),
        }

    def settings(self) -> dict[str, Any]:
        """Returns what decides over a pixel, JSON-ready."""
        kept = {name: self._settings[name] for name in ("rescale_factor", "image_mean", "image_std")}
        settings = {"framing": asdict(self.framing), **kept}
        plain: dict[str, Any] = json.loads(json.dumps(settings))  # tuples to lists, as they would be read back
        return plain
