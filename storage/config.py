"""How a store writes and serves."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oneword.storage.errors import MissingGpu

RESERVE = 8 * 2**20
"""Bytes that builds and compaction leave free, for the table to be written. Our own choice."""


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """How a store writes, and how its ANN indexes are held.

    Args:
        durable: a commit is on the disk before it is acknowledged, and survives a power cut. In a directory only:
            object stores see to it themselves.
        loaded: read them into memory whole. Otherwise they hold 1-bit codes in memory, about 100 bytes a vector, and
            read vectors from disk, of which the system keeps what memory allows.
        rebuilds: build an index anew that is found to be damaged, in a thread, at the next search: for a process that
            stays.
        index_device: "cpu", or "cuda" or "cuda:N" for a copy of the vectors on a GPU, for which faiss-gpu takes the
            place of faiss-cpu.

    Raises:
        MissingGpu: it is neither.
    """

    durable: bool = True
    loaded: bool = False
    rebuilds: bool = False
    index_device: str = "cpu"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", self.index_device):
            raise MissingGpu(self.index_device, None)
