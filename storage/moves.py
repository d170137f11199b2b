"""Renames, switches and drops of collections in a directory, each whole or not at all; and copies.

Renaming a directory is atomic, but a collection has up to three (table, quarantine, ANN index), a switch renames two
collections, and removing a directory takes many steps. So the plan is written first, and the next process that needs
one of the names finishes it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from oneword.storage.database import Database
from oneword.storage.durability import replacing, sync_folder
from oneword.storage.errors import CollectionNotFound, Locked, StorageError, StoreUnavailable
from oneword.storage.lock import WriterLock
from oneword.storage.quarantine import LOCK_TIMEOUT, SUFFIX
from oneword.storage.schema import CREATED_KEY, created_of
from oneword.storage.table import Table, translated_errors

ENDING = ".moving"
WAIT = 10.0  # seconds to wait for a process that is moving a collection that is needed
ROWS = 1024  # of a copy in memory at once


@dataclass(frozen=True, kw_only=True)
class Move:
    """A rename of a collection. created: of the collection, ISO 8601; tells it from others of its name."""

    source: str
    target: str
    created: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Renames in order, and a collection to drop after them: the `target` of `drop`."""

    moves: tuple[Move, ...] = ()
    drop: Move | None = None

    @property
    def names(self) -> set[str]:
        """Every name that is involved."""
        return {name for move in (*self.moves, *filter(None, [self.drop])) for name in (move.source, move.target)}


class Moves:
    """The moves of one store, and those that a dead process left unfinished."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, plan: Plan) -> None:
        """Carry out a plan. The caller holds the writer's lock of every name in it, and no target is taken."""
        root, first = self._root(), [*plan.moves, *filter(None, [plan.drop])][0]
        doing = f"move or drop {first.source!r}"
        with self._quarantines(plan.names), translated_errors(self._database.location, doing):
            for name in {move.target for move in plan.moves} - {move.source for move in plan.moves}:
                self._database.sweep(name)
                self._database.drop(name + SUFFIX)  # of a collection that was dropped
                _remove_index(self._database.location.ann_folder(name))
            journal = root / f"{first.source}{ENDING}"
            with replacing(journal) as partial:
                partial.write_text(json.dumps(asdict(plan)), encoding="utf-8")
            self._carry_out(plan, journal)

    def finish(self, name: str | None = None) -> list[Move]:
        """Finish the moves of dead processes. Returns those finished.

        name: needed next; a living process that is moving it is waited for.
        """
        root, done = self._database.location.path, list[Move]()
        if root is None:
            return done
        for journal in sorted(root.glob(f"*{ENDING}")):
            plan = _read(journal)
            if plan is None:  # just finished by another process
                continue
            try:
                with (
                    self._locks(plan.names, WAIT if name in plan.names else 0.0),
                    self._quarantines(plan.names),
                    translated_errors(self._database.location, "finish a move"),
                ):
                    if _read(journal) == plan:
                        self._carry_out(plan, journal)
                        done += plan.moves
            except (Locked, StoreUnavailable):
                continue  # another process is moving it, or this one may not write here
        return done

    def _carry_out(self, plan: Plan, journal: Path) -> None:
        """Every step can be repeated. A table moves last, so the rest of its collection is where it is."""
        location = self._database.location
        for move in plan.moves:
            if self._created(move.source) != move.created or self._database.open(move.target) is not None:
                continue  # done already; or a collection was created there while nobody held the lock
            _rename(self._folder(move.source + SUFFIX), self._folder(move.target + SUFFIX))
            _rename(location.ann_folder(move.source), location.ann_folder(move.target))
            _rename(self._folder(move.source), self._folder(move.target))
        if plan.drop is not None and not self._is_another(plan.drop):
            _remove_index(location.ann_folder(plan.drop.target))
            for folder in (self._folder(plan.drop.target + SUFFIX), self._folder(plan.drop.target)):
                if folder.exists():
                    shutil.rmtree(folder)
        sync_folder(self._root())
        journal.unlink(missing_ok=True)
        sync_folder(self._root())

    def _created(self, name: str) -> str | None:
        table = self._database.open(name)
        return None if table is None else created_of(table.schema()).isoformat()

    def _is_another(self, dropped: Move) -> bool:
        """Whether there is a complete collection of that name other than the one to drop."""
        try:
            return self._created(dropped.target) not in (None, dropped.created)
        except StorageError:  # half of it is removed already
            return False

    def _locks(self, names: Iterable[str], timeout: float) -> ExitStack:
        """The locks of some names, always taken in the same order."""
        with ExitStack() as stack:
            for name in sorted(names):
                stack.enter_context(WriterLock(self._database.location.lock_file(name), name).hold(timeout))
            return stack.pop_all()

    @contextmanager
    def _quarantines(self, names: Iterable[str]) -> Iterator[None]:
        with self._locks((name + SUFFIX for name in names), LOCK_TIMEOUT):
            yield

    def _folder(self, table: str) -> Path:
        return self._root() / f"{table}.lance"

    def _root(self) -> Path:
        assert self._database.location.path is not None  # the store refuses object stores
        return self._database.location.path


def _remove_index(folder: Path) -> None:
    """Remove ANN indexes, also while a build, which holds no lock of ours, is writing there; it then fails.

    An index that it leaves anyway belongs to no table: it is never used, and the next build removes it.
    """
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _rename(source: Path, target: Path) -> None:
    if source.exists():
        source.rename(target)


def _read(journal: Path) -> Plan | None:
    try:
        plan = json.loads(journal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    moves = tuple(Move(**move) for move in plan["moves"])
    return Plan(moves=moves, drop=Move(**plan["drop"]) if plan["drop"] else None)


def copy(database: Database, name: str, target: str) -> Table | None:
    """Copy the newest version of the table `name`, and its quarantine; None if the target's name is taken.

    The copy appears when it is complete. The caller holds the lock of `target`. Indexes and tags are not copied.
    """
    if database.open(target) is not None:
        return None
    database.drop(target + SUFFIX)  # left by a copy that was killed
    refused = database.snapshot(name + SUFFIX)
    if refused is not None:
        schema = refused.schema()
        database.fill(target + SUFFIX, schema, _rows(refused, schema))
    source = database.snapshot(name)
    if source is None:
        raise CollectionNotFound(name, database.location.uri)
    schema = source.schema()
    schema = schema.with_metadata({**schema.metadata, CREATED_KEY: datetime.now(UTC).isoformat().encode()})
    return database.fill(target, schema, _rows(source, schema))


def _rows(table: Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in table.chunks(schema.names, ROWS):
        yield pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)
