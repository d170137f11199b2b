"""The difference between an ANN index and one version of the table: rows that are stale, and rows that are new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from oneword.storage.ann.files import items_of
from oneword.storage.ann.index import AnnIndex, Scored, Vectors
from oneword.storage.ann.rows import Addresses, Mask, RowAddresses, addresses_in, addresses_of, identity, stamps_in
from oneword.storage.ann.tuning import SAME_SCORE
from oneword.storage.item import Item
from oneword.storage.ranking import cosines
from oneword.storage.schema import item_columns, vectors_of
from oneword.storage.table import Table

MOST_FRESH = 2**25
"""Numbers (rows x dimensions) written since the build that are kept in memory, 128 MB, and compared exactly. Beyond,
the table is searched until the index is built again."""
MOST_ADDRESSES = 4  # per row, one more with each compaction; then those of other versions are dropped
FEW = 1000  # addresses that are looked up one by one; for more, the table is scanned


@dataclass(frozen=True, kw_only=True)
class FreshRows:
    """Rows of the table that the index lacks.

    Args:
        addresses: int64 (m,), ascending.
        items: m, without thumbnails and vectors.
        vectors: float32 (m, d), as stored.
    """

    addresses: Addresses
    items: Sequence[Item]
    vectors: Vectors

    def nearest(self, query: Vectors, count: int, allowed: Mask | None = None) -> list[Scored]:
        """The `count` nearest as (cosine, row) in any order, ties at the border included."""
        rows = np.arange(len(self.items)) if allowed is None else np.flatnonzero(allowed)
        if not len(rows) or count < 1:
            return []
        vectors = self.vectors if allowed is None else self.vectors[rows]
        rough = (vectors @ query) / np.linalg.norm(vectors, axis=1)
        if len(rows) > count:
            border = -np.partition(-rough, count - 1)[count - 1]
            rows = rows[rough >= border - 10 * SAME_SCORE]
        return list(zip(cosines(self.vectors[rows], query), rows.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class IndexDelta:
    """An index compared with one version of the table.

    Args:
        live: bool (n,), rows of the index that the table still has unchanged; None: all.
        dead: number of the others.
        fresh: rows that the index lacks; None: too many to keep, the index cannot be used.
        addresses: of the rows of the index.
    """

    version: int
    live: Mask | None
    dead: int
    fresh: FreshRows | None
    addresses: RowAddresses


def diff_index(index: AnnIndex, table: Table, version: int, before: IndexDelta | None) -> IndexDelta:
    """Compare an index with a table.

    Args:
        table: at `version`.
        before: the delta to another version; rows known from it are not read again.
    """
    known_addresses = before.addresses if before else index.by_address
    there = addresses_of(table)
    rows = known_addresses.rows_of(there)
    unknown = there[rows < 0]
    known = before.fresh if before else None
    if known is not None:
        unknown = unknown[~np.isin(unknown, known.addresses)]
    if len(unknown):  # written since, or moved by compaction
        stamped = _read(table, unknown, identity(table.schema()))
        moved = index.by_stamp.rows_of(stamps_in(stamped))
        is_moved = moved >= 0
        if is_moved.any():
            addresses = addresses_in(stamped)
            if len(known_addresses.addresses) > MOST_ADDRESSES * max(index.info.rows, 1):
                known_addresses = known_addresses.among(there)
            known_addresses = known_addresses.with_moved(addresses[is_moved], moved[is_moved])
            rows = known_addresses.rows_of(there)
            unknown = addresses[~is_moved]
    live = np.zeros(len(index.stamps), dtype=bool)
    live[rows[rows >= 0]] = True
    missing = there[rows < 0]
    fresh = None
    if len(missing) * index.info.dimension <= MOST_FRESH:
        fresh = _fresh(index, table, missing, unknown, known)
    dead = int(np.count_nonzero(~live))
    return IndexDelta(version=version, live=live if dead else None, dead=dead, fresh=fresh, addresses=known_addresses)


def _fresh(index: AnnIndex, table: Table, missing: Addresses, unknown: Addresses, known: FreshRows | None) -> FreshRows:
    """The rows at the `missing` addresses: those `unknown` are read, the others are taken from `known`."""
    vectors = np.empty((len(missing), index.info.dimension), np.float32)
    items: dict[int, Item] = {}
    if known is not None:
        kept = np.flatnonzero(np.isin(known.addresses, missing))
        at = np.searchsorted(missing, known.addresses[kept])
        vectors[at] = known.vectors[kept]
        items.update({place: known.items[row] for place, row in zip(at.tolist(), kept.tolist(), strict=True)})
    if len(unknown):
        read = _read(table, unknown, [*item_columns(table.schema()), "vector", Table.ADDRESS])
        at = np.searchsorted(missing, addresses_in(read))
        vectors[at] = vectors_of(read)
        items.update(zip(at.tolist(), items_of(read), strict=True))
    return FreshRows(addresses=missing, items=[items[place] for place in range(len(missing))], vectors=vectors)


def _read(table: Table, addresses: Addresses, columns: Sequence[str]) -> pa.Table:
    """The rows at those addresses."""
    if len(addresses) <= FEW:
        return table.at_addresses(addresses.tolist(), columns)
    parts = []
    for batch in table.rows(columns, where=f"{Table.ADDRESS} >= {addresses.min()}", batch_size=8192):
        member = np.isin(addresses_in(batch), addresses)
        if member.any():
            parts.append(batch.filter(pa.array(member)))
    return pa.Table.from_batches(parts)
