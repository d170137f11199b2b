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

    @property
    def share(self) -> float:
        """Of all rows."""
        return self.count / max(len(self.mask), 1)

    @cached_property
    def selector(self) -> Any:
        """As FAISS takes it."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))
