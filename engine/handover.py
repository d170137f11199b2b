"""Passes decoded images between processes in shared memory: a pipe takes four times the CPU.

Linux only; elsewhere, and where a process may not open another's files, images go through the pipe.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import PIL.Image

from oneword.engine.decoded import DecodedImage
from oneword.engine.inputs import Image, Tiled

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Memory of another process. path: to open it by; name: to tell it from any other file."""

    path: str
    name: str


@dataclass(frozen=True, kw_only=True)
class SharedImage:
    """An image whose RGB pixels or tiles are in shared memory. shape: of the tiles; None for pixels.

    others: the other fields of its `DecodedImage`, by name.
    """

    size: tuple[int, int]
    shape: tuple[int, ...] | None
    content_hash: str
    region_of: str
    others: Mapping[str, Any]


class Handover:
    """Shared memory for one image, for a `with` block; without a name in a file system, so nothing is left behind."""

    def __init__(self) -> None:
        self.place: Place | None = None

    def __enter__(self) -> "Handover":
        if hasattr(os, "memfd_create"):
            name = f"oneword-{os.urandom(8).hex()}"
            self._file = os.memfd_create(name)
            self.place = Place(path=f"/proc/{os.getpid()}/fd/{self._file}", name=name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.place:
            os.close(self._file)

    def take(self, shared: SharedImage) -> DecodedImage:
        """Returns the image that `share` put here."""
        with os.fdopen(os.dup(self._file), "rb", buffering=0) as file:
            file.seek(0)
            pixels = file.readall()
        if shared.shape is None:
            image = Image(pixels=PIL.Image.frombytes("RGB", shared.size, pixels), region_of=shared.region_of)
            vars(image)["content_hash"] = shared.content_hash  # computed already
        else:
            tiles = np.frombuffer(bytearray(pixels), np.uint8).reshape(shared.shape)
            image = Tiled(tiles=tiles, size=shared.size, content_hash=shared.content_hash)
        return DecodedImage(image=image, **shared.others)


def share(place: Place | None, make: Callable[..., Found], *given: object) -> Found | SharedImage:
    """Calls `make` in the other process and returns its result; the pixels of an image go into the place."""
    found = make(*given)
    if place is None or not isinstance(found, DecodedImage):
        return found
    image = found.image
    shape = image.tiles.shape if isinstance(image, Tiled) else None
    try:
        _write(place, image.tiles.tobytes() if isinstance(image, Tiled) else image.pixels.tobytes())
    except OSError:
        return found
    return SharedImage(
        size=image.size,
        shape=shape,
        content_hash=image.content_hash,
        region_of=image.region_of,
        others={one.name: getattr(found, one.name) for one in fields(found) if one.name != "image"},
    )


def _write(place: Place, pixels: bytes) -> None:
    file = os.open(place.path, os.O_RDWR)
    try:
        # After a timeout the other side has closed it, and the number may be another file's by now.
        if place.name not in Path(f"/proc/self/fd/{file}").readlink().name:
            raise OSError(f"{place.path} is not {place.name}")
        rest = memoryview(pixels)
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)
