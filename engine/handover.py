"""Hands decoded pictures from one process to another through memory that both can see: a pipe takes four times the CPU.

Linux only; elsewhere, and where the system does not let a process into another's files, pictures go through the pipe.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
import PIL.Image

from oneword.engine.inputs import Image, Tiled
from oneword.engine.pictures import Picture

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Memory of another process. path: by which it is opened; name: by which it is told from any other file."""

    path: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A picture whose pixels, RGB, or tiles lie in a place. shape: of the tiles, if it is those."""

    size: tuple[int, int]
    shape: tuple[int, ...] | None
    content_hash: str
    thumbnail: bytes


class Handover:
    """Memory for one picture, for a `with` block; without a name in any file system, so that nothing is ever left."""

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

    def taken(self, laid: Laid) -> Picture:
        """The picture that was laid here."""
        with os.fdopen(os.dup(self._file), "rb", buffering=0) as file:
            file.seek(0)
            pixels = file.readall()
        if laid.shape is None:
            image = Image(pixels=PIL.Image.frombytes("RGB", laid.size, pixels))
            vars(image)["content_hash"] = laid.content_hash  # known; it is not computed again
        else:
            tiles = np.frombuffer(bytearray(pixels), np.uint8).reshape(laid.shape)
            image = Tiled(tiles=tiles, size=laid.size, content_hash=laid.content_hash)
        return Picture(image=image, thumbnail=laid.thumbnail)


def laid(place: Place | None, make: Callable[..., Found], *given: object) -> Found | Laid:
    """What `make` makes; a picture's pixels are left at the place. Runs in the other process."""
    found = make(*given)
    if place is None or not isinstance(found, Picture):
        return found
    image = found.image
    shape = image.tiles.shape if isinstance(image, Tiled) else None
    try:
        _write(place, image.tiles.tobytes() if isinstance(image, Tiled) else image.pixels.tobytes())
    except OSError:
        return found
    return Laid(size=image.size, shape=shape, content_hash=image.content_hash, thumbnail=found.thumbnail)


def _write(place: Place, pixels: bytes) -> None:
    file = os.open(place.path, os.O_RDWR)
    try:
        # Who waited in vain has closed it, and its number may be another file's by now.
        if place.name not in Path(f"/proc/self/fd/{file}").readlink().name:
            raise OSError(f"{place.path} is not {place.name}")
        rest = memoryview(pixels)
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)
