"""Scalar indexes, which make filters on a large collection fast.

Measured on 200,000 rows (LanceDB 0.40, two cores, `select _rowid where ...`, medians): an index makes every filter that
storage.filters.sql lets use it as fast or faster, for 0.1 % to half of the rows, and two to five times as fast on
strings and lists; filters that an index would slow down are compiled not to use it. On 10,000 rows the difference is
noise.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow.compute as pc

from oneword.storage.filters.sql import INDEXED
from oneword.storage.metadata import Kind
from oneword.storage.schema import META, metadata_kinds
from oneword.storage.table import LEAST_ROWS, IndexKind, Table

MOST_STALE = 2_000  # unindexed rows, which are read one by one: a tenth of what is not worth an index

# A bitmap is a list of rows for each value: half of 200,000 rows in 6 ms of a bitmap, in 10 of a tree. LanceDB's
# own advice ends at "a few thousand" values (lancedb.index.Bitmap).
MOST_BITMAPS = 1_000

KEPT = timedelta(days=36_500)  # older than any version, so optimize removes none

BUILTINS: dict[str, IndexKind] = {name: "Bitmap" if name == "modality" else "BTree" for name in INDEXED}
BUILTINS["image_hash"] = "BTree"  # not a filter field, but searches exclude copies by it

KINDS: dict[Kind, IndexKind] = {"number": "BTree", "time": "BTree", "bool": "Bitmap", "list of strings": "LabelList"}


def ensure(table: Table, *, least_rows: int = LEAST_ROWS) -> dict[str, IndexKind]:
    """Create the scalar indexes that are missing, and index new rows. Returns the columns indexed, with their kinds.

    Every index is a commit of its own, so readers go on, and the next call completes an interrupted one.

    Args:
        least_rows: a smaller table gets no indexes.
    """
    indexes = {one.column: one for one in table.indexes()}
    if table.count() < least_rows:
        return {}
    if any(one.stale > MOST_STALE for one in indexes.values()):
        table.optimize(KEPT)
    made: dict[str, IndexKind] = {}
    for column, kind in _wanted(table).items():
        have = indexes.get(column)
        if have is None or (kind is not None and have.kind != kind):
            kind = kind or _kind_for_strings(table, column)
            table.create_index(column, kind)
            made[column] = kind
    return made


def _wanted(table: Table) -> dict[str, IndexKind | None]:
    """The columns to index, without keys that begin with `_`, which are not filtered by.

    None: bitmap or tree, depending on the number of values when it is first indexed."""
    kinds = metadata_kinds(table.schema()).items()
    keys = {META + key: KINDS.get(kind) for key, kind in kinds if not key.startswith("_")}
    return {**BUILTINS, **keys}


def _kind_for_strings(table: Table, column: str) -> IndexKind:
    values: set[str | None] = set()
    for batch in table.rows([column], batch_size=65_536):
        values |= set(pc.unique(batch[column]).to_pylist())
        if len(values) > MOST_BITMAPS:
            return "BTree"
    return "Bitmap"
