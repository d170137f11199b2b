"""What rivals have in common: the rows, the filter, and what each does."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Setting = dict[str, int]

NEAREST = 10
CHUNK = 10_000  # rows read at a time


@dataclass(frozen=True)
class Window:
    """A filter: items whose number, a random permutation of the rows, is in [start, stop)."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"n >= {self.start} and n < {self.stop}"


class Data:
    """The vectors of a part, which are memory-mapped, and their numbers.

    Args:
        folder: holds vectors.npy, float16 (n, d), and numbers.npy, int64 (n,).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self.numbers = np.load(folder / "numbers.npy")
        self.count, self.dimension = self.vectors.shape
        self.lists = max(16, round(64 * (self.count / 50_000) ** 0.5))  # as many as served best in the pilot

    def chunks(self) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Where a chunk starts, and its vectors."""
        for start in range(0, self.count, CHUNK):
            yield start, np.asarray(self.vectors[start : start + CHUNK])

    def allowed(self, window: Window) -> NDArray[np.bool_]:
        """bool (n,)."""
        return (self.numbers >= window.start) & (self.numbers < window.stop)


class Rival(Protocol):
    """One way to find neighbors.

    filters: how it filters, or None if it cannot.
    choices: of `threads`, where it can be told.
    """

    filters: str | None
    choices: tuple[int, ...]

    def fill(self) -> None:
        """What comes before the index; not timed."""

    def build(self) -> None:
        """Builds the index; timed."""

    def save(self) -> None:
        """Leaves on disk what `open` takes; not timed."""

    def open(self) -> str:
        """Makes ready to search, and says what it is."""

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:
        """The rows of the ten nearest."""

    def ladders(self) -> list[list[Setting]]:
        """What may be tried, each from little effort to much. None: it has nothing to set, or sets it itself."""

    def threads(self, count: int) -> None:
        """How many the library may use for a search of the calling thread; 0: as many as it likes."""

    def bytes(self) -> dict[str, int]:
        """On disk: the index, and the table that it is derived from where there is one."""


class Base:
    """What most of them do."""

    filters: str | None = None
    choices: tuple[int, ...] = ()

    def __init__(self, data: Data, folder: Path, **options: Any) -> None:
        self.data, self.folder, self.options = data, folder, options
        self.file = folder / "index"

    def fill(self) -> None: ...

    def save(self) -> None: ...

    def ladders(self) -> list[list[Setting]]:
        return []

    def threads(self, count: int) -> None: ...

    def bytes(self) -> dict[str, int]:
        return {"index": self.file.stat().st_size, "table": 0}


def uri_of(row: int) -> str:
    """Of a made-up picture."""
    return f"file:///pictures/{row // 1000:04d}/{row:07d}.jpg"


def text_of(row: int) -> str:
    """As long as a caption."""
    return f"Picture {row}: a dog and a child play with a ball on the grass."


def powers(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, ... and `most`."""
    steps = [step for power in range(12) for step in (2**power, 3 * 2**power // 2) if step < most]
    return [*sorted(set(steps)), most]


def faiss_threads(count: int) -> None:
    """OpenMP keeps the number for each calling thread."""
    import faiss

    faiss.omp_set_num_threads(count or os.cpu_count() or 1)
