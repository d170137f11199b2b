"""A full copy of a collection, streamed, and seen by nobody before it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from oneword.storage.database import Database
from oneword.storage.errors import CollectionNotFound
from oneword.storage.quarantine import SUFFIX
from oneword.storage.schema import CREATED_KEY
from oneword.storage.table import Table

ROWS = 1024  # in memory at once


def copy(database: Database, name: str, target: str) -> Table | None:
    """Copy the newest version of the table `name`, and its quarantine; None if the target's name is taken.

    The caller holds the lock of `target`. What is indexed or tagged is not copied.
    """
    if database.open(target) is not None:
        return None
    database.drop(target + SUFFIX)  # what an earlier copy left when it was killed
    refused = database.snapshot(name + SUFFIX)
    if refused is not None:
        schema = refused.schema()
        database.fill(target + SUFFIX, schema, _rows(refused, schema))
    source = database.snapshot(name)
    if source is None:
        raise CollectionNotFound(name, database.location.uri)
    schema = source.schema()
    made = {**schema.metadata, CREATED_KEY: datetime.now(UTC).isoformat().encode()}
    return database.fill(target, schema.with_metadata(made), _rows(source, schema.with_metadata(made)))


def _rows(table: Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in table.parts(schema.names, ROWS):
        yield pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)
