"""Configuration of a store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from oneword.storage.errors import BadSearch, MissingGpu

AnnKind: TypeAlias = Literal["auto", "flat", "ivfpq", "hnsw"]
INDEXES: tuple[AnnKind, ...] = get_args(AnnKind)
"""Structures of an ANN index: chosen by trial; every vector compared; lists of 4-bit product codes; a graph."""

Format: TypeAlias = Literal["auto", "parquet", "arrow", "npy", "clip-retrieval", "faiss", "lancedb", "qdrant"]
"""What a path of vectors to import can be; "auto": by its name."""

Target: TypeAlias = Literal["parquet", "npy", "qdrant", "milvus"]
"""What an export is for."""

Known: TypeAlias = Literal[
    "id", "vector", "text", "uri", "modality", "content_hash", "image_hash", "width", "height", "thumbnail"
]
KNOWN: tuple[Known, ...] = get_args(Known)
"""Columns of an import that have a meaning of their own; others become metadata."""

MOST = 10_000
"""Most hits in one result."""

MOST_SKIPPED = 1_000_000
"""Largest offset: the deeper a page, the longer it takes."""

RESERVE = 8 * 2**20
"""Bytes that builds and compactions leave free for writes to the table. Our own choice."""


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """How a store writes, and how it holds ANN indexes.

    Args:
        durable: sync a commit to the disk before it is acknowledged, so that it survives a power cut. Only in a
            directory: object stores are durable.
        loaded: load ANN indexes into memory whole. Otherwise they hold codes in memory, about 100 bytes a vector (in
            a graph 600), and memory-map the vectors.
        rebuilds: rebuild a damaged ANN index in a thread at the next search; for a process that stays.
        index: the structure of ANN indexes that are built, one of INDEXES.
        index_device: "cpu", or "cuda" or "cuda:N" for a copy of the vectors on a GPU, which needs faiss-gpu instead of
            faiss-cpu.

    Raises:
        BadSearch: no such structure.
        MissingGpu: the device's name is malformed.
    """

    durable: bool = True
    loaded: bool = False
    rebuilds: bool = False
    index: AnnKind = "auto"
    index_device: str = "cpu"

    def __post_init__(self) -> None:
        check_index(self.index)
        if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", self.index_device):
            raise MissingGpu(self.index_device, None)


def check_index(name: object) -> None:
    """Check that it is one of INDEXES.

    Raises:
        BadSearch: it is not.
    """
    if name not in INDEXES:
        raise BadSearch(f"index {name!r}: expected one of {', '.join(INDEXES)}")
