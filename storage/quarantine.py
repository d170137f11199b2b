"""Inputs that could not be indexed, and why: beside their collection, until they can be or are gone."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storage.database import Database, Table
from storage.lock import WriterLock
from storage.metadata import utc
from storage.sql import one_of

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".quarantine"
LOCK_TIMEOUT = 10.0  # seconds; a record takes milliseconds, so waiting is right where a collection would refuse


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One failure, of the input at `uri`: a `reason` for people to read, a `kind` for programs."""

    uri: str
    reason: str
    kind: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """An input in quarantine: its last failure, how many there were, the first and the last time."""

    uri: str
    reason: str
    kind: str
    tries: int
    first_seen: datetime
    last_tried: datetime


class Quarantine:
    """The quarantine of one collection; its table is made at the first entry."""

    def __init__(self, database: Database, collection: str) -> None:
        self._database, self.name = database, collection + SUFFIX
        self._lock = WriterLock(database.location.lock_file(self.name), self.name)

    def record(self, entries: Sequence[Refused]) -> None:
        """Add failures; of an input already here, its `tries` go up and its `first_seen` stays.

        Raises:
            Locked: another process has been writing it for LOCK_TIMEOUT seconds.
        """
        if not entries:
            return
        import pyarrow as pa

        with self._lock.hold(LOCK_TIMEOUT):
            table = self._database.open(self.name) or self._database.create(self.name, _schema())
            if table is None:  # made by another process in between
                table = self._database.open(self.name)
            assert table is not None
            kept = self._entries(table, one_of("uri", {entry.uri for entry in entries}))
            for entry in entries:
                before = kept.get(entry.uri)
                kept[entry.uri] = Quarantined(
                    uri=entry.uri,
                    reason=entry.reason,
                    kind=entry.kind,
                    tries=before.tries + 1 if before else 1,
                    first_seen=before.first_seen if before else utc(entry.at),
                    last_tried=utc(entry.at),
                )
            table.merge(pa.Table.from_pylist([vars(entry) for entry in kept.values()], schema=_schema()), "uri")

    def list(self) -> builtins.list[Quarantined]:
        """Every entry, by uri."""
        table = self._database.open(self.name)
        if table is None:
            return []
        return sorted(self._entries(table).values(), key=lambda entry: entry.uri)

    def release(self, uris: Iterable[str]) -> int:
        """Forget inputs that have since been indexed or are gone; how many were here."""
        released, table = set(uris), self._database.open(self.name)
        if table is None or not released:
            return 0
        # Mostly there is nothing to release, and then nothing is locked or written.
        if not table.count(one_of("uri", released)):
            return 0
        with self._lock.hold(LOCK_TIMEOUT):
            return table.delete(one_of("uri", released))

    def count(self) -> int:
        """How many inputs are in quarantine."""
        table = self._database.open(self.name)
        return 0 if table is None else table.count()

    def _entries(self, table: Table, where: str | None = None) -> dict[str, Quarantined]:
        found = {}
        for batch in table.rows(_schema().names, where=where):
            for row in batch.to_pylist():
                times = {name: row[name].astimezone(UTC) for name in ("first_seen", "last_tried")}
                found[row["uri"]] = Quarantined(**{**row, **times})
        return found


def _schema() -> pa.Schema:
    import pyarrow as pa

    time = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("uri", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("tries", pa.int64(), nullable=False),
            pa.field("first_seen", time, nullable=False),
            pa.field("last_tried", time, nullable=False),
        ]
    )
