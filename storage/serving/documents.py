"""The items of a serving index, a row at a time: one read a hit, where the table would need a query."""

from __future__ import annotations

import json
import mmap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.item import Item
from oneword.storage.metadata import plain
from oneword.storage.schema import ITEM_COLUMNS

_TEXTS = [name for name in ITEM_COLUMNS if name not in ("indexed_at", "metadata")]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode = json.JSONDecoder().decode
DOCUMENTS, OFFSETS = "documents.bin", "offsets.npy"


class DocumentWriter:
    """Writes documents one after the other, and at the end where each begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO = (folder / DOCUMENTS).open("wb")
        self._ends = [np.zeros(1, np.int64)]
        self._size = 0
        self.checks: list[int] = []

    def append(self, batch: pa.RecordBatch) -> None:
        """batch: with ITEM_COLUMNS."""
        packed = [_packed(row) for row in _rows(batch)]
        ends = self._size + np.cumsum([len(one) for one in packed], dtype=np.int64)
        self._file.write(b"".join(packed))
        self.checks += map(crc32, packed)
        if len(ends):
            self._ends.append(ends)
            self._size = int(ends[-1])

    def close(self) -> None:
        """Flush, and write the offsets."""
        self._file.close()
        np.save(self._folder / OFFSETS, np.concatenate(self._ends))


class Documents:
    """Reads what a DocumentWriter wrote; the file is memory-mapped."""

    def __init__(self, folder: Path, checks: NDArray[np.uint32]) -> None:
        """
        Args:
            checks: CRC-32 of each document.

        Raises:
            OSError, ValueError: a file is missing or shorter than it should be.
        """
        self._checks = checks
        self._offsets = np.load(folder / OFFSETS, mmap_mode="r").view(np.ndarray)
        file = folder / DOCUMENTS
        if file.stat().st_size != self._offsets[-1]:
            raise ValueError(f"{file} has {file.stat().st_size} bytes, expected {self._offsets[-1]}")
        with file.open("rb") as opened:
            self._bytes = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) if self._offsets[-1] else b""

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> Item:
        """Raises ValueError where its bytes are not those that were written."""
        packed = self._bytes[self._offsets[row] : self._offsets[row + 1]]
        if crc32(packed) != self._checks[row]:
            raise ValueError(f"row {row} of {DOCUMENTS} changed since it was written")
        return _unpacked(packed.decode())


def items_of(batch: pa.RecordBatch | pa.Table) -> list[Item]:
    """The items of rows with ITEM_COLUMNS, as a search returns them: without thumbnails and vectors."""
    return [_unpacked(_packed(row).decode()) for row in _rows(batch)]


def _rows(batch: pa.RecordBatch | pa.Table) -> list[tuple[object, ...]]:
    columns = [batch.column(name).to_pylist() for name in (*_TEXTS, "metadata")]
    columns.append(batch.column("indexed_at").cast(pa.int64()).to_pylist())
    return list(zip(*columns, strict=True))


def _packed(row: tuple[object, ...]) -> bytes:
    """One JSON list; the metadata, JSON already, goes in as it is, and so does the time, in microseconds since 1970."""
    *texts, metadata, indexed_at = row
    return f"{json.dumps(texts, ensure_ascii=False)[:-1]},{metadata},{indexed_at}]".encode()


def _unpacked(packed: str) -> Item:
    *texts, metadata, indexed_at = _decode(packed)
    return Item(
        **dict(zip(_TEXTS, texts, strict=True)),
        metadata=plain(metadata) if metadata else {},
        indexed_at=_EPOCH + timedelta(microseconds=indexed_at),
    )
