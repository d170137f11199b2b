"""Ranks and recalls.

Legend: q queries, g gallery entries, d dimensions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oneword.engine.encoder import Vectors

BLOCK = 1024  # queries that are scored at once


def best_ranks(
    queries: Vectors,
    gallery: Vectors,
    relevant: Sequence[Sequence[int]],
    masked: Sequence[Sequence[int]] | None = None,
) -> NDArray[np.int64]:
    """The rank of each query's best relevant entry, by cosine similarity; 0 is the top.

    Of equal scores the earlier gallery entry ranks higher, as in a stable sort: the same on every machine.

    Args:
        queries: (q, d), of unit length.
        gallery: (g, d), of unit length.
        relevant: of each query, at least one entry.
        masked: of each query, entries that do not take part.
    """
    ranks = np.empty(len(queries), dtype=np.int64)
    for i, row in _similarities(queries, gallery, masked):
        right = np.asarray(relevant[i])
        best = right[np.lexsort((right, -row[right]))[0]]
        ranks[i] = np.count_nonzero(row > row[best]) + np.count_nonzero(row[:best] == row[best])
    return ranks


def recalls(ranks: NDArray[np.int64], at: Sequence[int], name: str = "R@{}") -> dict[str, float]:
    """Percent of queries with a relevant entry among the first k, for each k."""
    return {name.format(k): 100 * float((ranks < k).mean()) for k in at}


def top(queries: Vectors, gallery: Vectors, count: int, masked: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The first `count` entries of each query, best first, by the rule of `best_ranks`: int64 (q, count)."""
    found = np.empty((len(queries), min(count, len(gallery))), dtype=np.int64)
    for i, row in _similarities(queries, gallery, masked):
        found[i] = np.argsort(-row, kind="stable")[: found.shape[1]]
    return found


def _similarities(
    queries: Vectors, gallery: Vectors, masked: Sequence[Sequence[int]] | None
) -> Iterator[tuple[int, Vectors]]:
    """Each query's number and its similarities, (g,); -inf where an entry does not take part."""
    for start in range(0, len(queries), BLOCK):
        for i, row in enumerate(queries[start : start + BLOCK] @ gallery.T, start=start):
            if masked is not None:
                row[list(masked[i])] = -np.inf
            yield i, row
