"""Collections that change their names or go, in a directory: several at once, and whole even if killed half way.

A rename of one directory is atomic, but a collection has up to three (table, quarantine, ANN index), a switch
renames two collections, and removing a directory takes many steps. So what is to be done is written down first, and
whoever looks next finishes it.
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
from oneword.storage.table import Table, in_our_words

ENDING = ".moving"
PATIENCE = 10.0  # seconds that someone who needs a name waits for the process that is moving it


@dataclass(frozen=True, kw_only=True)
class Move:
    """A collection's change of name. created: of the collection, ISO 8601: tells it from others of its name."""

    source: str
    target: str
    created: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Moves, in this order, and a collection to drop when they are done: the `target` of `drop`."""

    moves: tuple[Move, ...] = ()
    drop: Move | None = None

    @property
    def names(self) -> set[str]:
        """Every name that is touched."""
        return {name for move in (*self.moves, *filter(None, [self.drop])) for name in (move.source, move.target)}


class Moves:
    """What is being moved in one store, and what was when a process died."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, plan: Plan) -> None:
        """Carry out a plan. The caller holds the writer's lock of every name in it, and no target is taken."""
        root, first = self._root(), [*plan.moves, *filter(None, [plan.drop])][0]
        with self._quarantines(plan.names), in_our_words(self._database.location, f"move or drop {first.source!r}"):
            for name in {move.target for move in plan.moves} - {move.source for move in plan.moves}:
                self._database.sweep(name)
                self._database.drop(name + SUFFIX)  # of a collection that is no more
                _remove_index(self._database.location.ann_folder(name))
            journal = root / f"{first.source}{ENDING}"
            with replacing(journal) as partial:
                partial.write_text(json.dumps(asdict(plan)), encoding="utf-8")
            self._carry_out(plan, journal)

    def finish(self, name: str | None = None) -> list[Move]:
        """Finish what dead processes left half done; what that was.

        name: the one needed next: a living process that is moving it is waited for.
        """
        root, done = self._database.location.path, list[Move]()
        if root is None:
            return done
        for journal in sorted(root.glob(f"*{ENDING}")):
            plan = _read(journal)
            if plan is None:  # finished by another process just now
                continue
            try:
                with (
                    self._locks(plan.names, PATIENCE if name in plan.names else 0.0),
                    self._quarantines(plan.names),
                    in_our_words(self._database.location, "finish a move"),
                ):
                    if _read(journal) == plan:
                        self._carry_out(plan, journal)
                        done += plan.moves
            except (Locked, StoreUnavailable):
                continue  # someone is at it, or may write here and will be
        return done

    def _carry_out(self, plan: Plan, journal: Path) -> None:
        """Every step can be done again. A table moves last, so where it is, the rest of its collection is too."""
        location = self._database.location
        for move in plan.moves:
            if not self._is(move.source, move.created) or self._database.open(move.target) is not None:
                continue  # done already; or another one was made there while nobody held the lock
            _rename(self._folder(move.source + SUFFIX), self._folder(move.target + SUFFIX))
            _rename(location.ann_folder(move.source), location.ann_folder(move.target))
            _rename(self._folder(move.source), self._folder(move.target))
        if plan.drop is not None and not self._is_another(plan.drop):
            self._remove(self._folder(plan.drop.target + SUFFIX))
            _remove_index(location.ann_folder(plan.drop.target))
            self._remove(self._folder(plan.drop.target))
        sync_folder(self._root())
        journal.unlink(missing_ok=True)
        sync_folder(self._root())

    def _is(self, name: str, created: str) -> bool:
        table = self._database.open(name)
        return table is not None and created_of(table.schema()).isoformat() == created

    def _is_another(self, dropped: Move) -> bool:
        """Whether a whole collection of that name is not the one meant; half a collection is what a kill left of it."""
        try:
            table = self._database.open(dropped.target)
            return table is not None and created_of(table.schema()).isoformat() != dropped.created
        except StorageError:
            return False

    def _locks(self, names: Iterable[str], timeout: float) -> ExitStack:
        """The locks of some names, always taken in one order."""
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

    def _remove(self, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)


def _remove_index(folder: Path) -> None:
    """A build may write there at this very moment, which holds no lock of ours; it fails for want of its folder.

    What it left none the less is of no table: it never serves, and the next build removes it.
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
    return Plan(
        moves=tuple(Move(**move) for move in plan["moves"]), drop=Move(**plan["drop"]) if plan["drop"] else None
    )


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
