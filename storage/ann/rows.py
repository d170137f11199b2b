"""Rows of an ANN index: what identifies them in the table, their addresses there, and sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.schema import STAMP
from oneword.storage.table import Table

Addresses = NDArray[np.int64]
Mask = NDArray[np.bool_]

OVERFETCH = 1.5
"""Multiple of the rows needed that are looked up under a filter, relative to an even spread of its rows."""


def identity(schema: pa.Schema) -> list[str]:
    """The columns that `stamps_in` and `addresses_in` read."""
    return [Table.ADDRESS, *[STAMP] * (STAMP in schema.names)]


def addresses_in(rows: pa.RecordBatch | pa.Table) -> Addresses:
    """The addresses of rows that were read with them: int64 (n,)."""
    return _integers(rows, Table.ADDRESS)


def stamps_in(rows: pa.RecordBatch | pa.Table) -> NDArray[np.int64]:
    """What identifies a row as it was written: int64 (n,).

    Its stamp; in a collection without stamps its address, which changes when compaction moves the row.
    """
    return _integers(rows, STAMP if STAMP in rows.schema.names else Table.ADDRESS)


def addresses_of(table: Table, where: str | None = None) -> Addresses:
    """The addresses of the rows that match an SQL condition: int64 (m,), ascending."""
    batches = table.rows([Table.ADDRESS], where=where, batch_size=65536)
    return np.sort(np.concatenate([np.empty(0, np.int64), *map(addresses_in, batches)]))


def _integers(rows: pa.RecordBatch | pa.Table, name: str) -> NDArray[np.int64]:
    column = rows.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    found: NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


@dataclass(frozen=True, kw_only=True)
class RowAddresses:
    """Maps addresses or stamps, int64 (k,) ascending, to rows of an index, int64 (k,).

    A row has several addresses once the table has been compacted.
    """

    addresses: Addresses
    rows: Addresses

    @classmethod
    def of(cls, addresses: Addresses) -> RowAddresses:
        """The map of rows 0 to k - 1, whose addresses are in any order."""
        order = np.argsort(addresses, kind="stable")
        return cls(addresses=np.asarray(addresses)[order], rows=order)

    def rows_of(self, addresses: Addresses) -> Addresses:
        """The row at each address, -1 where the index has none: int64 (m,)."""
        if not len(self.addresses):
            return np.full(len(addresses), -1)
        at = np.minimum(np.searchsorted(self.addresses, addresses), len(self.addresses) - 1)
        return np.where(self.addresses[at] == addresses, self.rows[at], -1)

    def with_moved(self, addresses: Addresses, rows: Addresses) -> RowAddresses:
        """The map with further addresses of rows."""
        together = np.concatenate([self.addresses, addresses])
        order = np.argsort(together, kind="stable")
        return RowAddresses(addresses=together[order], rows=np.concatenate([self.rows, rows])[order])

    def among(self, addresses: Addresses) -> RowAddresses:
        """The map reduced to these addresses."""
        kept = np.isin(self.addresses, addresses)
        return RowAddresses(addresses=self.addresses[kept], rows=self.rows[kept])


class RowSet:
    """A subset of the n rows of an index."""

    def __init__(self, mask: Mask) -> None:
        """mask: bool (n,)."""
        self.mask = mask
        self.count = int(np.count_nonzero(mask))

    @property
    def share(self) -> float:
        """The share of all rows that are in it."""
        return self.count / max(len(self.mask), 1)

    def depth(self, count: int) -> int:
        """How many rows to look up so that `count` of them are most likely in the set, if it is spread evenly."""
        return ceil(OVERFETCH * count / max(self.share, 1e-9))

    @cached_property
    def selector(self) -> Any:
        """The set as a FAISS selector."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))
