"""Tells of inputs, before any is read: which are stored as they are, which were given before, which are to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.passages import Splitter
from indexer.comparison import unchanged_unread
from indexer.entry import Entry
from indexer.loading import name_of, refuse
from indexer.seen import Seen
from storage import Item, Refused

Lookup = Callable[[list[str]], dict[str, Item]]


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """An input that is stored as it is."""

    origin: str


@dataclass(frozen=True, kw_only=True)
class Unread:
    """An input that is to be read, and what is stored of it, by id."""

    entry: Entry
    stored: dict[str, Item]


class Triage:
    """Sorts a job's inputs, some at a time.

    Args:
        lookup: what the collection held when the job began, by id.
        reread: read also what seems unchanged by its file's time and size.
    """

    def __init__(self, lookup: Lookup, splitter: Splitter | None, seen: Seen, *, reread: bool = False) -> None:
        self._lookup, self._splitter, self._seen, self._reread = lookup, splitter, seen, reread

    def sort(self, entries: Sequence[Entry]) -> list[Unchanged | Refused | Unread]:
        """One for each entry: those whose id was met before first, then the others in their order."""
        outcomes: list[Unchanged | Refused | Unread] = []
        fresh = self._first_of_each(entries, outcomes)
        stored = self._lookup([entry.id for entry in fresh]) if fresh else {}
        for entry in fresh:
            known = {entry.id: stored[entry.id]} if entry.id in stored else {}
            if not self._reread and unchanged_unread(entry, known.get(entry.id), self._splitter):
                outcomes.append(Unchanged(origin=entry.origin))
            else:
                outcomes.append(Unread(entry=entry, stored=known))
        return outcomes

    def _first_of_each(self, entries: Sequence[Entry], outcomes: list[Unchanged | Refused | Unread]) -> list[Entry]:
        """Entries whose id was not met before; the others' outcomes are known."""
        met = self._seen.digests([entry.id for entry in entries])
        fresh: list[Entry] = []
        for entry in entries:
            digest = entry.digest
            before = met.setdefault(entry.id, digest) if entry.id in met else None
            if before is None:
                met[entry.id] = digest
                fresh.append(entry)
            elif before == digest:
                outcomes.append(Unchanged(origin=entry.origin))
            else:
                reason = (
                    f"{name_of(None, entry.origin)}: the id {entry.id!r} was given before, to another input of this "
                    "job, which stays; give each input an id of its own"
                )
                outcomes.append(refuse(f"{entry.origin}~{digest.hex()[:8]}", "DuplicateId", reason))
        self._seen.meet((entry.id, met[entry.id]) for entry in fresh)
        return fresh
