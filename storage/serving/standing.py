"""How a serving index stands to one version of the table: what of it still holds, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from oneword.storage.item import Item
from oneword.storage.ranking import cosines
from oneword.storage.schema import ITEM_COLUMNS, vectors_of
from oneword.storage.serving.allowed import Mask
from oneword.storage.serving.build import identity, integers, stamps
from oneword.storage.serving.documents import items_of
from oneword.storage.serving.index import Scored, ServingIndex, Vectors
from oneword.storage.serving.places import Addresses, Places
from oneword.storage.serving.tuning import SAME_SCORE
from oneword.storage.table import Table

FRESH_NUMBERS = 2**25
"""Numbers (rows x dimensions) written since the build that are kept in memory, 128 MB, and compared exactly. Beyond,
the table itself is searched until the index is built again."""
MOST_PLACES = 4  # addresses of a row, one more a compaction; then those of other versions are forgotten
FEW = 1000  # addresses that are looked up one by one; for more, all rows are read
COLUMNS = [*ITEM_COLUMNS, "vector", Table.ADDRESS]


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Rows that the index lacks.

    Args:
        addresses: int64 (m,), ascending.
        items: m, without thumbnails and vectors.
        vectors: float32 (m, d), as stored.
    """

    addresses: Addresses
    items: Sequence[Item]
    vectors: Vectors

    def nearest(self, question: Vectors, count: int, allowed: Mask | None = None) -> list[Scored]:
        """The `count` nearest as (cosine, row), highest first, ties at the border included."""
        rows = np.arange(len(self.items)) if allowed is None else np.flatnonzero(allowed)
        if not len(rows) or count < 1:
            return []
        vectors = self.vectors if allowed is None else self.vectors[rows]
        rough = (vectors @ question) / np.linalg.norm(vectors, axis=1)
        if len(rows) > count:
            border = -np.partition(-rough, count - 1)[count - 1]
            rows = rows[rough >= border - 10 * SAME_SCORE]
        return list(zip(cosines(self.vectors[rows], question), rows.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An index and one version of the table.

    Args:
        live: bool (n,), which of the index's rows are in the table as they were; None: all.
        dead: how many are not.
        fresh: what is in the table and not in the index; None: too much to keep, the index cannot serve.
        places: where every row of the table lies, see `Places`.
    """

    version: int
    live: Mask | None
    dead: int
    fresh: Fresh | None
    places: Places


def stand(index: ServingIndex, table: Table, version: int, before: Standing | None) -> Standing:
    """Compares an index with a table.

    Args:
        table: at `version`.
        before: how the index stood to some other version: what is known from there is not read again.
    """
    places = before.places if before else index.by_address
    there = addresses_of(table)
    rows = places.rows_of(there)
    unknown = there[rows < 0]
    known = before.fresh if before and before.fresh is not None else None
    if known is not None:
        unknown = unknown[~np.isin(unknown, known.addresses)]
    if len(unknown):  # written since, or moved by compaction
        stamped = _at(table, unknown, identity(table.schema()))
        moved = index.by_stamp.rows_of(stamps(stamped))
        is_moved = moved >= 0
        if is_moved.any():
            addresses = addresses_in(stamped)
            if len(places.addresses) > MOST_PLACES * max(index.about.rows, 1):
                places = places.among(there)
            places = places.with_moved(addresses[is_moved], moved[is_moved])
            rows = places.rows_of(there)
            unknown = addresses[~is_moved]
    live = np.zeros(len(index.stamps), dtype=bool)
    live[rows[rows >= 0]] = True
    wanted = there[rows < 0]
    fresh = None
    if len(wanted) * index.about.dimension <= FRESH_NUMBERS:
        fresh = _fresh(index, table, wanted, unknown, known)
    dead = int(np.count_nonzero(~live))
    return Standing(version=version, live=live if dead else None, dead=dead, fresh=fresh, places=places)


def addresses_of(table: Table, where: str | None = None) -> Addresses:
    """Where the rows lie that pass the condition: int64 (m,), ascending."""
    batches = table.rows([Table.ADDRESS], where=where, batch_size=65536)
    return np.sort(np.concatenate([np.empty(0, np.int64), *map(addresses_in, batches)]))


def _fresh(index: ServingIndex, table: Table, wanted: Addresses, unknown: Addresses, known: Fresh | None) -> Fresh:
    """The rows at the `wanted` addresses: those `unknown` are read, the others `known`."""
    vectors = np.empty((len(wanted), index.about.dimension), np.float32)
    items: dict[int, Item] = {}
    if known is not None:
        kept = np.flatnonzero(np.isin(known.addresses, wanted))
        places = np.searchsorted(wanted, known.addresses[kept])
        vectors[places] = known.vectors[kept]
        items.update({place: known.items[row] for place, row in zip(places.tolist(), kept.tolist(), strict=True)})
    if len(unknown):
        read = _at(table, unknown, COLUMNS)
        places = np.searchsorted(wanted, addresses_in(read))
        vectors[places] = vectors_of(read)
        items.update(zip(places.tolist(), items_of(read), strict=True))
    return Fresh(addresses=wanted, items=[items[place] for place in range(len(wanted))], vectors=vectors)


def _at(table: Table, addresses: Addresses, columns: Sequence[str]) -> pa.Table:
    """The rows at those addresses."""
    if len(addresses) <= FEW:
        return table.at_addresses(addresses.tolist(), columns)
    parts = []
    for batch in table.rows(columns, where=f"{Table.ADDRESS} >= {addresses.min()}", batch_size=8192):
        member = np.isin(addresses_in(batch), addresses)
        if member.any():
            parts.append(batch.filter(pa.array(member)))
    return pa.Table.from_batches(parts)


def addresses_in(rows: pa.RecordBatch | pa.Table) -> Addresses:
    """The addresses of rows that were read with them: int64 (n,)."""
    return integers(rows, Table.ADDRESS)
