"""Inputs that could not be indexed, with reasons, stored beside their collection until they can be or are gone."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from oneword.storage.database import Database
from oneword.storage.lock import WriterLock
from oneword.storage.metadata import utc
from oneword.storage.sql import escaped, one_of
from oneword.storage.table import LEAST_ROWS, Table

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".quarantine"
LOCK_TIMEOUT = 10.0  # seconds; a record takes milliseconds, so a writer waits instead of failing

URIS_AT_ONCE = 2_000  # in one SQL condition

# Every commit adds a file, and every look-up reads all files: so files are merged every COMMITS commits, and uris are
# indexed once they are many. 100,000 new inputs, 1,000 a record, two cores, medians of 20 records: 68, 78, 78, 72,
# 85 ms; without, 37, 80, 119, 141 and 169 ms.
COMMITS = 32
SAFE_AGE = timedelta(minutes=10)  # the longest that an older version may be read: a million entries take seconds

SOURCE = "source"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One failure of the input `uri`: a `reason` for people, a `kind` for programs.

    source: where the input came from, to read it again; JSON that is opaque here.
    """

    uri: str
    reason: str
    kind: str
    at: datetime
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class QuarantinedInput:
    """An input that could not be indexed: its last failure, the number of failures, the first and the last time."""

    uri: str
    reason: str
    kind: str
    tries: int
    first_seen: datetime
    last_tried: datetime


@dataclass(frozen=True, kw_only=True)
class Quarantined(QuarantinedInput):
    """An input in quarantine, with its source, as `Refused` has it."""

    source: str = ""


class Quarantine:
    """The quarantine of one collection; its table is created with the first entry.

    Text that is not Unicode, also in a uri, is stored and looked up with escapes.
    """

    def __init__(self, database: Database, collection: str) -> None:
        self._database, self.name = database, collection + SUFFIX
        self._lock = WriterLock(database.location.lock_file(self.name), self.name)

    def record(self, entries: Sequence[Refused]) -> None:
        """Add failures; for an input that is here already, `tries` is incremented and `first_seen` stays.

        One commit. If all inputs are new they are appended, at a cost that does not grow with the table.

        Raises:
            Locked: another process has been writing it for LOCK_TIMEOUT seconds.
        """
        if not entries:
            return
        import pyarrow as pa

        with self._lock.hold(LOCK_TIMEOUT):
            table = self._table() or self._database.create(self.name, _schema()) or self._table()
            assert table is not None  # create() returns None if another process was faster
            schema = self._with_source(table) if any(entry.source for entry in entries) else table.schema()
            before = self.get(entry.uri for entry in entries)
            kept = dict(before)
            for entry in entries:
                uri = escaped(entry.uri)
                earlier = kept.get(uri)
                kept[uri] = Quarantined(
                    uri=uri,
                    reason=escaped(entry.reason),
                    kind=escaped(entry.kind),
                    tries=earlier.tries + 1 if earlier else 1,
                    first_seen=earlier.first_seen if earlier else utc(entry.at),
                    last_tried=utc(entry.at),
                    source=escaped(entry.source),
                )
            rows = pa.Table.from_pylist([vars(entry) for entry in kept.values()], schema=schema)
            if before:
                table.merge(rows, "uri")
            else:
                table.append(rows)
            if table.version() % COMMITS == 0:
                self._tidy(table)

    def get(self, uris: Iterable[str]) -> dict[str, Quarantined]:
        """The entries of those inputs that are here, by uri."""
        table = self._table()
        if table is None:
            return {}
        batches = chain.from_iterable(self._read(table, part) for part in _parts(uris))
        return {entry.uri: entry for batch in batches for entry in batch}

    def list(self) -> builtins.list[Quarantined]:
        """Every entry, sorted by uri; `batches` needs less memory."""
        return sorted(chain.from_iterable(self.batches()), key=lambda entry: entry.uri)

    def batches(self, *, kind: str | None = None, batch_size: int = 1024) -> Iterator[builtins.list[Quarantined]]:
        """Every entry of one version, or those of a kind, in batches and in no particular order."""
        table = self._table()
        if table is not None:
            yield from self._read(table, None if kind is None else one_of("kind", [escaped(kind)]), batch_size)

    def release(self, uris: Iterable[str]) -> int:
        """Remove inputs that have been indexed since or are gone. Returns the number removed."""
        table = self._table()
        if table is None:
            return 0
        # Mostly there is nothing to release, and then nothing is locked or written.
        there = [part for part in _parts(uris) if table.count(part)]
        if not there:
            return 0
        with self._lock.hold(LOCK_TIMEOUT):
            return sum(table.delete(part) for part in there)

    def clear(self, *, kind: str | None = None) -> int:
        """Remove every input, or those of a kind. Returns the number removed."""
        table = self._table()
        if table is None:
            return 0
        with self._lock.hold(LOCK_TIMEOUT):
            gone = table.delete("true" if kind is None else one_of("kind", [escaped(kind)]))
            self._tidy(table)
            return gone

    def count(self) -> int:
        """Number of inputs in quarantine."""
        table = self._table()
        return 0 if table is None else table.count()

    def kinds(self) -> dict[str, int]:
        """Number of inputs of each kind, highest first."""
        table, counts = self._table(), Counter[str]()
        if table is not None:
            for batch in table.rows(["kind"], batch_size=65_536):
                counts.update(batch["kind"].to_pylist())
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))

    def maintain(self) -> None:
        """Upkeep after a job: merge small files, index uris if they are many, remove old versions."""
        table = self._table()
        if table is not None:
            with self._lock.hold(LOCK_TIMEOUT):
                self._tidy(table)

    def _table(self) -> Table | None:
        return self._database.open(self.name)

    def _tidy(self, table: Table) -> None:
        if table.count() >= LEAST_ROWS and not table.indexes():
            table.create_index("uri", "BTree")
        table.optimize(SAFE_AGE)

    def _with_source(self, table: Table) -> pa.Schema:
        """The schema with the source column, which tables of earlier releases lack."""
        if SOURCE not in table.schema().names:
            table.add_columns([_schema().field(SOURCE)])
        return table.schema()

    def _read(self, table: Table, where: str | None, batch_size: int = 1024) -> Iterator[builtins.list[Quarantined]]:
        for batch in table.rows(table.schema().names, where=where, batch_size=batch_size):
            if batch.num_rows:
                yield [_entry(row) for row in batch.to_pylist()]


def _entry(row: dict[str, Any]) -> Quarantined:
    times = {name: row[name].astimezone(UTC) for name in ("first_seen", "last_tried")}
    return Quarantined(**{**row, **times, SOURCE: row.get(SOURCE) or ""})


def _parts(uris: Iterable[str]) -> Iterator[str]:
    """SQL conditions that match those uris together."""
    unique = list(dict.fromkeys(map(escaped, uris)))
    for start in range(0, len(unique), URIS_AT_ONCE):
        yield one_of("uri", unique[start : start + URIS_AT_ONCE])


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    columns = {"uri": text, "reason": text, "kind": text, "tries": pa.int64(), "first_seen": time, "last_tried": time}
    required = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema([*required, pa.field(SOURCE, text)])
