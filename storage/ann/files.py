"""The files of an ANN index: its description, the items of its rows, and the vectors as the table stores them."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.ann.structure import SearchParams
from oneword.storage.item import Item
from oneword.storage.metadata import plain
from oneword.storage.schema import IMAGE_TEXT, ITEM_COLUMNS

ABOUT, LISTS, VECTORS, DOCUMENTS = "about.json", "lists.faiss", "vectors.faiss", "documents.bin"
OFFSETS, ADDRESSES, STAMPS, CHECKS = "offsets.npy", "addresses.npy", "stamps.npy", "checksums.npy"

_TEXTS = [name for name in ITEM_COLUMNS if name not in ("indexed_at", "metadata")]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode = json.JSONDecoder().raw_decode

# A FAISS file is a four-letter code, d (int32), ntotal (int64), ..., the size of the codes (uint64) and the codes
# (facebookresearch/faiss: faiss/impl/index_write.cpp). So the file of an empty index differs from that of a full one in
# two numbers, and vectors can be appended batch by batch, where FAISS would hold them all in memory.
_TOTAL = struct.Struct("<q")
_TOTAL_AT = 8
_SIZE = struct.Struct("<Q")


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """The description of an ANN index, stored as JSON beside its files.

    Args:
        version: of the table that it was built from.
        created: of the table, ISO 8601; a table that is created again starts its versions at 1.
        rows: number of vectors.
        dimension: numbers in each vector.
        kind: "flat", or FAISS's name of the structure.
        effort: the tuned search parameters; None for "flat".
        recall: measured recall@10; 1 for "flat".
        goal: the recall@10 that was requested.
        length_error: the largest difference between the length of a stored vector and 1.
        digests: BLAKE2b of each file in hexadecimal, by name.
    """

    version: int
    created: str
    rows: int
    dimension: int
    kind: str
    effort: SearchParams | None
    recall: float
    goal: float
    length_error: float
    digests: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write it; it is written last, so an index that has it is complete."""
        said = asdict(self)
        (folder / ABOUT).write_text(json.dumps({"checksum": _checksum(said), **said}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> IndexInfo:
        """Read it.

        Raises:
            OSError, ValueError, KeyError, TypeError: it is missing, malformed, or of an older format.
        """
        stored = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if stored.pop("checksum") != _checksum(stored):
            raise ValueError(f"{ABOUT} changed since it was written")
        effort = stored.pop("effort")
        return cls(**stored, effort=SearchParams(**effort) if effort else None)


def _checksum(said: dict[str, Any]) -> int:
    return crc32(json.dumps(said).encode())


def digests(folder: Path) -> dict[str, str]:
    """The BLAKE2b of every file of an index but its description."""
    return {file.name: _digest(file) for file in sorted(folder.iterdir()) if file.name != ABOUT}


def changed(folder: Path, info: IndexInfo, *, least: int = -1, most: float = float("inf")) -> list[str]:
    """The files whose content differs from what was written; only those of more than `least` and up to `most` bytes."""
    return [
        name
        for name, digest in info.digests.items()
        if least < (folder / name).stat().st_size <= most and _digest(folder / name) != digest
    ]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def checksums(vectors: NDArray[np.float16]) -> NDArray[np.uint64]:
    """The checksum of each vector (n, d): the sum of its words, each times its own odd number, modulo 2^64.

    Any one changed word changes it, as odd numbers have an inverse. Of 12 vectors of 4,096 numbers at once it takes a
    third of the time of CRC-32.
    """
    size = 8 if vectors.shape[1] % 4 == 0 else 2
    words = np.ascontiguousarray(vectors, "<f2").view(f"<u{size}").astype(np.uint64, copy=False)
    found: NDArray[np.uint64] = np.vecdot(words, _odd_numbers(words.shape[1]))
    return found


@cache
def _odd_numbers(count: int) -> NDArray[np.uint64]:
    return np.cumprod(np.full(count, 0x9E3779B97F4A7C15, np.uint64), dtype=np.uint64)  # powers of an odd number are odd


class DocumentWriter:
    """Appends items to a file, and writes where each begins when it is closed. checks: CRC-32 of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO = (folder / DOCUMENTS).open("wb")
        self._ends = [np.zeros(1, np.int64)]
        self._size = 0
        self.checks: list[int] = []

    def append(self, batch: pa.RecordBatch) -> None:
        """Append the items of a batch with `item_columns`."""
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
    """Reads items by row from a memory-mapped file: one read a hit, where the table would need a query."""

    def __init__(self, folder: Path, checks: NDArray[np.uint64]) -> None:
        """checks: CRC-32 of each item.

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
        """The item of a row. Raises ValueError where its bytes differ from those that were written."""
        packed = self._bytes[self._offsets[row] : self._offsets[row + 1]]
        if crc32(packed) != self._checks[row]:
            raise ValueError(f"row {row} of {DOCUMENTS} changed since it was written")
        return _unpacked(packed.decode())


def items_of(batch: pa.RecordBatch | pa.Table) -> list[Item]:
    """The items of rows with `item_columns`, as a search returns them: without thumbnails and vectors."""
    return [_unpacked(_packed(row).decode()) for row in _rows(batch)]


def _rows(batch: pa.RecordBatch | pa.Table) -> list[tuple[object, ...]]:
    columns = [batch.column(name).to_pylist() for name in (*_TEXTS, "metadata")]
    columns.append(batch.column("indexed_at").cast(pa.int64()).to_pylist())
    shown = IMAGE_TEXT in batch.schema.names
    columns.append(batch.column(IMAGE_TEXT).to_pylist() if shown else [None] * batch.num_rows)
    return list(zip(*columns, strict=True))


def _packed(row: tuple[object, ...]) -> bytes:
    """A row as one JSON list; metadata is JSON already, and the time is in microseconds since 1970.

    An image's text, if it has one, is last: indexes of earlier releases have none.
    """
    *texts, metadata, indexed_at, image_text = row
    more = "" if image_text is None else "," + json.dumps(image_text, ensure_ascii=False)
    return f"{json.dumps(texts, ensure_ascii=False)[:-1]},{metadata},{indexed_at}{more}]".encode()


def _unpacked(packed: str) -> Item:
    values = _decode(packed)[0]
    metadata, indexed_at = values[len(_TEXTS) : len(_TEXTS) + 2]
    item = object.__new__(Item)  # the __init__ of a frozen dataclass takes three times as long
    vars(item).update(
        zip(_TEXTS, values, strict=False),
        metadata=plain(metadata) if metadata else {},
        indexed_at=_EPOCH + timedelta(0, 0, indexed_at),
        thumbnail=None,
        vector=None,
        image_text=values[-1] if len(values) > len(_TEXTS) + 2 else None,
        image_words=None,
    )
    return item


class VectorWriter:
    """Writes float16 vectors into a flat FAISS index (inner product), batch by batch."""

    def __init__(self, folder: Path, dimension: int) -> None:
        import faiss

        empty = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._dimension, self.count = dimension, 0
        self._header = bytearray(faiss.serialize_index(empty).tobytes())
        self._open: BinaryIO = (folder / VECTORS).open("wb")
        self._open.write(self._header)

    def append(self, vectors: NDArray[np.float16]) -> None:
        """vectors: float16 (n, d)."""
        self._open.write(np.ascontiguousarray(vectors, dtype="<f2").data)
        self.count += len(vectors)

    def close(self) -> None:
        """Complete the file."""
        header = self._header
        _TOTAL.pack_into(header, _TOTAL_AT, self.count)
        _SIZE.pack_into(header, len(header) - _SIZE.size, self.count * self._dimension * 2)
        self._open.seek(0)
        self._open.write(header)
        self._open.close()


def read_vectors(folder: Path, *, mapped: bool) -> Any:
    """The vectors as a flat FAISS index. mapped: memory-map the file instead of loading it.

    Raises:
        RuntimeError: FAISS cannot read the file.
    """
    import faiss

    return faiss.read_index(str(folder / VECTORS), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


def map_vectors(folder: Path, count: int, dimension: int) -> NDArray[np.float16]:
    """The vectors as a memory-mapped array, float16 (n, d)."""
    if not count:
        return np.zeros((0, dimension), np.float16)
    file = folder / VECTORS
    header = file.stat().st_size - count * dimension * 2
    raw = np.memmap(file, np.uint8, mode="r", offset=header, shape=(count, dimension * 2))
    return raw.view("<f2").view(np.ndarray)
