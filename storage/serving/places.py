"""Which of an index's rows is at which address of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Addresses = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which address, or stamp, is which row: addresses int64 (k,) ascending, rows int64 (k,).

    Rows have more than one address once the table has been compacted.
    """

    addresses: Addresses
    rows: Addresses

    @classmethod
    def of(cls, addresses: Addresses) -> Places:
        """Of rows 0 to k - 1, in any order of addresses."""
        order = np.argsort(addresses, kind="stable")
        return cls(addresses=np.asarray(addresses)[order], rows=order)

    def rows_of(self, addresses: Addresses) -> Addresses:
        """The row at each address, -1 for one that is none of the index's: int64 (m,)."""
        if not len(self.addresses):
            return np.full(len(addresses), -1)
        at = np.minimum(np.searchsorted(self.addresses, addresses), len(self.addresses) - 1)
        return np.where(self.addresses[at] == addresses, self.rows[at], -1)

    def with_moved(self, addresses: Addresses, rows: Addresses) -> Places:
        """More addresses."""
        together = np.concatenate([self.addresses, addresses])
        order = np.argsort(together, kind="stable")
        return Places(addresses=together[order], rows=np.concatenate([self.rows, rows])[order])

    def among(self, addresses: Addresses) -> Places:
        """Those at these addresses alone."""
        kept = np.isin(self.addresses, addresses)
        return Places(addresses=self.addresses[kept], rows=self.rows[kept])
