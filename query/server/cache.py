"""Vectors of recent questions, so that nothing is embedded twice in a row."""

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class VectorCache:
    """The vectors used last, up to so many bytes. For one thread.

    The key must tell the space, the side and the content: a hash of decoded pixels or of the text, never of a name.
    """

    def __init__(self, size: int) -> None:
        """size: bytes of vectors; 0 keeps none."""
        self._size = size
        self._held = 0
        self._vectors: OrderedDict[Hashable, Vector] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Held now."""
        return self._held

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: Hashable) -> Vector | None:
        """The vector, float32 (d,), read-only; None if it is not there (any more)."""
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
        return vector

    def put(self, key: Hashable, vector: Vector) -> None:
        """Keep a vector; those not used for longest go."""
        if key in self._vectors:
            self._vectors.move_to_end(key)
            return
        if vector.nbytes > self._size:
            return
        vector = vector.copy()  # not a row that keeps its whole batch alive
        vector.flags.writeable = False
        self._vectors[key] = vector
        self._held += vector.nbytes
        while self._held > self._size:
            self._held -= self._vectors.popitem(last=False)[1].nbytes
