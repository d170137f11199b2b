"""Which rows of a serving index may be hits."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Allowed:
    """Some of n rows, in the forms in which a search needs them."""

    def __init__(self, mask: Mask) -> None:
        """mask: bool (n,)."""
        self.mask = mask
        self.count = int(np.count_nonzero(mask))
        self._by_list: NDArray[np.int64] | None = None

    @property
    def share(self) -> float:
        """Of all rows."""
        return self.count / max(len(self.mask), 1)

    @cached_property
    def selector(self) -> Any:
        """As FAISS takes it."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))

    def probes(self, lists: Any, list_of_row: NDArray[np.int32], question: NDArray[np.float32], rows: float) -> int:
        """How many of FAISS's lists to read so that `rows` of these rows, or all, are looked at.

        Counted along the lists in the order of their nearness, so that it holds for filters whose items lie together
        and far from the question, too.

        Args:
            list_of_row: see `list_of_row`.
            question: float32 (d,).
        """
        if self._by_list is None:
            self._by_list = np.bincount(list_of_row[self.mask], minlength=lists.nlist)
        _, order = lists.quantizer.search(question[None], lists.nlist)
        seen = np.cumsum(self._by_list[order[0]])
        return int(np.searchsorted(seen, min(self.count, rows))) + 1


def list_of_row(lists: Any, rows: int) -> NDArray[np.int32]:
    """Which of FAISS's lists each row is in: int32 (rows,)."""
    import faiss

    found = np.zeros(rows, np.int32)
    kept = lists.invlists
    for number in range(lists.nlist):
        size = kept.list_size(number)
        if size:
            found[faiss.rev_swig_ptr(kept.get_ids(number), size)] = number
    return found
