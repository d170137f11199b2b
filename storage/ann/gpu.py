"""Vectors of an ANN index on a GPU, by FAISS's documented GPU classes. Not run yet: PyPI has wheels for CUDA 12."""

from __future__ import annotations

import threading
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.tuning import BLOCK
from oneword.storage.errors import MissingGpu

FLAT_NUMBERS = 2**33
"""Up to this many numbers (rows x dimensions), 16 GiB in float16, every vector is compared: 5 ms of reading at the
3.35 TB/s of NVIDIA's data sheet for the H100. Larger indexes are IVF."""
TRAINED_A_LIST = 64


class GpuIndex:
    """Proposes candidates; their scores are computed from the stored vectors.

    Args:
        vectors: float16 (n, d).
        device: "cuda" or "cuda:N".
        share: share of its lists to probe: that of the vectors that the tuned index on the CPU looks at.

    Raises:
        MissingGpu: FAISS has no GPU support here, or there is no such GPU.
    """

    def __init__(self, vectors: NDArray[np.float16], device: str, share: float) -> None:
        import faiss

        number = int(device.partition(":")[2] or 0)
        there = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
        if number >= there:
            raise MissingGpu(device, there)
        count, dimension = vectors.shape
        self._resources = faiss.StandardGpuResources()
        self._share, self._one_at_a_time = share, threading.Lock()
        self._lists = 0 if count * dimension <= FLAT_NUMBERS else round(count**0.5)
        self._index = self._flat(faiss, dimension, number) if not self._lists else self._ivf(faiss, dimension, number)
        if self._lists:
            sample = np.sort(np.random.default_rng(0).permutation(count)[: self._lists * TRAINED_A_LIST])
            self._index.train(vectors[sample].astype(np.float32))
        for start in range(0, count, BLOCK):
            self._index.add(vectors[start : start + BLOCK].astype(np.float32))

    def nearest(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """The rows nearest to each query (q, d): int64 (q, count), -1 where there are too few."""
        import faiss

        params = faiss.SearchParametersIVF(nprobe=ceil(self._lists * self._share)) if self._lists else None
        with self._one_at_a_time:  # FAISS's GPU indexes are not thread-safe
            _, rows = self._index.search(queries, count, params=params)
        found: NDArray[np.int64] = rows
        return found

    def _flat(self, faiss: Any, dimension: int, number: int) -> Any:
        config = faiss.GpuIndexFlatConfig()
        config.device, config.useFloat16 = number, True
        return faiss.GpuIndexFlatIP(self._resources, dimension, config)

    def _ivf(self, faiss: Any, dimension: int, number: int) -> Any:
        config = faiss.GpuIndexIVFScalarQuantizerConfig()
        config.device = number
        quantizer, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        return faiss.GpuIndexIVFScalarQuantizer(
            self._resources, dimension, self._lists, quantizer, metric, True, config
        )
