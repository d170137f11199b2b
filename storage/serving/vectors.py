"""The vectors of a serving index as the table stores them: float16, in FAISS's own file, written as they stream by."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

VECTORS = "vectors.faiss"

# FAISS writes an index as a four-letter code, d (int32) and ntotal (int64), ..., the size of the codes (uint64), the
# codes (facebookresearch/faiss: faiss/impl/index_write.cpp). So an empty index's file is all but two numbers of a full
# one's, and vectors can be written one batch at a time where FAISS would hold them all in memory.
_TOTAL = struct.Struct("<q")
_TOTAL_AT = 8
_SIZE = struct.Struct("<Q")


def empty(dimension: int) -> Any:
    """A flat FAISS index over float16 vectors, inner product."""
    import faiss

    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


class VectorWriter:
    """Writes vectors of `dimension` d, one batch at a time."""

    def __init__(self, folder: Path, dimension: int) -> None:
        import faiss

        self.file, self.dimension, self.count = folder / VECTORS, dimension, 0
        self._header = bytearray(faiss.serialize_index(empty(dimension)).tobytes())
        self._open: BinaryIO = self.file.open("wb")
        self._open.write(self._header)

    def append(self, vectors: NDArray[np.float16]) -> None:
        """vectors: float16 (n, d)."""
        self._open.write(np.ascontiguousarray(vectors, dtype="<f2").data)
        self.count += len(vectors)

    def close(self) -> None:
        """Complete the file."""
        header = self._header
        _TOTAL.pack_into(header, _TOTAL_AT, self.count)
        _SIZE.pack_into(header, len(header) - _SIZE.size, self.count * self.dimension * 2)
        self._open.seek(0)
        self._open.write(header)
        self._open.close()


def read(folder: Path, *, mapped: bool) -> Any:
    """The FAISS index. mapped: leave the vectors on disk, to be read when needed.

    Raises:
        RuntimeError: FAISS cannot read the file.
    """
    import faiss

    return faiss.read_index(str(folder / VECTORS), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


def mapped(folder: Path, count: int, dimension: int) -> NDArray[np.float16]:
    """The vectors as an array, float16 (n, d), memory-mapped."""
    if not count:
        return np.zeros((0, dimension), np.float16)
    file = folder / VECTORS
    header = file.stat().st_size - count * dimension * 2
    raw = np.memmap(file, np.uint8, mode="r", offset=header, shape=(count, dimension * 2))
    return raw.view("<f2").view(np.ndarray)
