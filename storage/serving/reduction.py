"""Fewer numbers a vector for the lists: the directions in which vectors lie, turned at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

DIRECTIONS = 512
"""Embeddings lie in some hundred directions (benchmarks/vectors.py), so that 512 of 4,096 hold nearly all of their
lengths; a code is then an eighth as long and an eighth as much to read."""
WORTH = 2  # times DIRECTIONS: vectors of fewer numbers are left as they are
SAMPLED = 8192  # rows that directions are learnt from
SPARE, PASSES = 16, 3  # Halko, Martinsson and Tropp 2011 (arXiv 0909.4061): a few more directions, a few passes


def pays(dimension: int) -> bool:
    """Whether vectors of so many numbers are better reduced."""
    return dimension >= WORTH * DIRECTIONS


def reduction(sample: Vectors) -> Any:
    """FAISS's transform of vectors to their DIRECTIONS, by inner products that are kept as well as can be.

    Randomised singular value decomposition of the vectors as they are: centred, their inner products would be others.
    RaBitQ takes the sign of each number, so that all should matter alike: a random rotation sees to that (Gao and Long
    2024, arXiv 2405.12497).

    Args:
        sample: float32 (m, d).
    """
    import faiss

    draw = np.random.default_rng(0)
    dimension = sample.shape[1]
    basis = draw.standard_normal((dimension, DIRECTIONS + SPARE)).astype(np.float32)
    for _ in range(PASSES):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    inside = sample @ basis
    _, turned = np.linalg.eigh(inside.T @ inside)
    directions = (basis @ turned[:, ::-1])[:, :DIRECTIONS].T
    rotation = np.linalg.qr(draw.standard_normal((DIRECTIONS, DIRECTIONS)))[0]
    matrix = np.ascontiguousarray(rotation @ directions, dtype=np.float32)
    transform = faiss.LinearTransform(dimension, DIRECTIONS, False)
    faiss.copy_array_to_vector(matrix.ravel(), transform.A)
    transform.is_trained = True
    return transform
