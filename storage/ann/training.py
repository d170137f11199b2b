"""Makes the FAISS structure of an ANN index: the one asked for, or the one that a trial finds to be the quickest."""

from __future__ import annotations

import time
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.storage.ann.structure import Structure, opened
from oneword.storage.ann.tuning import BLOCK, one_thread, tune

Vectors = NDArray[np.float32]
Halves = NDArray[np.float16]

LEAST = 256  # rows; fewer are compared, which takes microseconds
LEAST_A_LIST = 39
"""Rows per list that FAISS wants to train a centroid (faiss/Clustering.h: min_points_per_centroid)."""
TRAINED_A_LIST = 48
"""Rows per list that are sampled for training."""
ROUNDS, CODE_ROUNDS = 6, 8
"""Iterations of k-means for lists and for codes; FAISS's defaults of 10 and 25 take longer without fewer probes at the
same recall."""
CONSTRUCTION = 100  # candidates kept when a node is added to a graph (efConstruction)

KEPT = 0.935
"""Share of the variance that the directions hold of which a structure is made: 384 of 4,096 in benchmarks/vectors.py,
where 256 missed too much, and 512 took as long."""
MOST_DIRECTIONS, DIRECTIONS_STEP = 512, 64
SAMPLED = 8192  # rows that directions are computed from, and structures tried on
SPARE, PASSES = 16, 1  # oversampling and power iterations: Halko, Martinsson and Tropp 2011 (arXiv 0909.4061)

TRIAL_QUERIES = 100
MEMORY_BUDGET = 0.5  # of the vectors' bytes, for codes and links
TIME_BUDGET = 8.0
"""How many times as long as the structure that is built first another one may take to build."""


KINDS = {
    # Residuals (r) of the lists' centroids: at inner products they cost nothing, and a code says more.
    "ivfpq": "IVF{lists},PQ{half}x4fsr",
    "hnsw": "HNSW32_SQ8",
}
"""FAISS's names; "{lists}" and "{half}" stand for the numbers of lists and of pairs of dimensions."""
GRAPH_BYTES = 272
"""Bytes of a vector's links in "hnsw", 64 of them on the lowest level; its code has one for each dimension."""


class Trainer:
    """Makes structures of some vectors.

    Args:
        vectors: float16 (n, d).
        flat: FAISS's flat index of them.
    """

    def __init__(self, vectors: Halves, flat: Any) -> None:
        self._vectors, self._flat = vectors, flat
        count = len(vectors)
        # Reading centroids and reading codes then cost about the same, which is the minimum of their sum.
        self._lists = lists_of(count)
        rows = np.random.default_rng(0).choice(count, min(count, max(self._lists * TRAINED_A_LIST, SAMPLED)), False)
        self._sample = vectors[np.sort(rows)]
        self._reduction = reduction(self._part.astype(np.float32))

    def make(self, kind: str) -> tuple[str, Structure]:
        """FAISS's name of a structure of that kind, and the structure."""
        name, index = self._trained(kind, self._sample, self._lists)
        for start in range(0, len(self._vectors), BLOCK):
            index.add(self._vectors[start : start + BLOCK].astype(np.float32))
        return name, opened(index, self._flat)

    def quickest(self, goal: float) -> str:
        """The kind that reaches the goal soonest, within the budgets of memory and of time to build.

        Where memory leaves a choice, each is built of a sample, tuned and timed. With more rows the lists' time grows
        faster than the graph's, so that a graph which wins the trial wins.
        """
        import faiss

        part = self._part
        if self._dimension + GRAPH_BYTES > MEMORY_BUDGET * 2 * part.shape[1]:
            return "ivfpq"
        flat = faiss.IndexScalarQuantizer(part.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        flat.add(part.astype(np.float32))
        best, soonest, first = "ivfpq", inf, inf
        for kind in KINDS:
            begun = time.process_time()
            _, index = self._trained(kind, part, lists_of(len(part)))
            index.add(part.astype(np.float32))
            built = time.process_time() - begun
            first = min(first, built)
            if built > TIME_BUDGET * first:
                continue
            params = tune(opened(index, flat), part, goal, queries=TRIAL_QUERIES).effort
            if params is not None and params.seconds < soonest:
                best, soonest = kind, params.seconds
        return best

    @property
    def _part(self) -> Halves:
        """SAMPLED rows at most."""
        part: Halves = self._sample[:: -(-len(self._sample) // SAMPLED)]
        return part

    @property
    def _dimension(self) -> int:
        return int(self._vectors.shape[1]) if self._reduction is None else int(self._reduction.d_out)

    def _trained(self, kind: str, sample: Halves, lists: int) -> tuple[str, Any]:
        import faiss

        dimension, points = self._dimension, sample.astype(np.float32)
        pairs = dimension // 2 if dimension % 2 == 0 else dimension
        name = KINDS[kind].format(lists=lists, half=pairs)
        index = faiss.index_factory(dimension, name, faiss.METRIC_INNER_PRODUCT)
        if self._reduction is not None:
            points = self._reduction.apply(points)
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efConstruction = CONSTRUCTION
        else:
            index.cp.niter = ROUNDS
            faiss.Clustering(dimension, lists, index.cp).train(points, index.quantizer)
        if hasattr(index, "pq"):
            index.pq.cp.niter = CODE_ROUNDS
            index.pq.cp.min_points_per_centroid = LEAST // 16  # else FAISS warns on stderr
        with (
            one_thread()
        ):  # some hundred trainings of 16 centroids: threads that wait for each other take ten times as long
            index.train(points)
        if self._reduction is None:
            return name, index
        return f"PCAR{dimension},{name}", faiss.IndexPreTransform(self._reduction, index)


def lists_of(count: int) -> int:
    """How many lists so many rows are sorted into."""
    return max(1, min(round(2 * sqrt(count)), count // LEAST_A_LIST))


def reduction(sample: Vectors) -> Any:
    """FAISS's linear transform of vectors to the fewest directions that hold KEPT of their variance.

    None where more than half as many as there are dimensions are needed. A randomized singular value decomposition of
    the uncentered vectors: centering would change the inner products. A random rotation follows, so that all numbers
    matter alike, as codes spend the same bits on each.

    Args:
        sample: float32 (m, d).
    """
    import faiss

    draw = np.random.default_rng(0)
    dimension = sample.shape[1]
    most = min(MOST_DIRECTIONS, dimension // 2)
    if most < DIRECTIONS_STEP:
        return None
    basis = draw.standard_normal((dimension, min(most + SPARE, dimension))).astype(np.float32)
    for _ in range(PASSES):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    inside = sample @ basis
    energies, turned = np.linalg.eigh(inside.T @ inside)
    mean = len(sample) * float(np.square(sample.mean(axis=0)).sum())
    held = (np.cumsum(energies[::-1]) - mean) / max(float(np.square(sample).sum()) - mean, 1e-9)
    steps = range(DIRECTIONS_STEP, most + 1, DIRECTIONS_STEP)
    directions = next((step for step in steps if held[step - 1] >= KEPT), None)
    if directions is None:
        return None
    components = (basis @ turned[:, ::-1])[:, :directions].T
    rotation = np.linalg.qr(draw.standard_normal((directions, directions)))[0]
    matrix = np.ascontiguousarray(rotation @ components, dtype=np.float32)
    transform = faiss.LinearTransform(dimension, directions, False)
    faiss.copy_array_to_vector(matrix.ravel(), transform.A)
    transform.is_trained = True
    return transform
