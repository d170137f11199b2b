"""Tells of inputs, before any is read: which are stored as they are, which were given before, which are to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oneword.engine.passages import Splitter
from oneword.indexer.comparison import unchanged_unread
from oneword.indexer.entry import SOURCE, Entry, Reference, id_of
from oneword.indexer.loading import name_of, refuse
from oneword.indexer.seen import Seen
from oneword.storage import Item, Refused

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
        take_over: let a row replace the item of another source that has the same id; else it is refused.
    """

    def __init__(
        self,
        lookup: Lookup,
        splitter: Splitter | None,
        seen: Seen,
        *,
        reread: bool = False,
        take_over: bool = False,
    ) -> None:
        self._lookup, self._splitter, self._seen, self._reread = lookup, splitter, seen, reread
        self._take_over = take_over
        self._sources: dict[str, int] = {}

    def sort(self, entries: Sequence[Entry]) -> list[Unchanged | Refused | Unread]:
        """One for each entry: those refused for their ids first, then those met before, then the others in their order.

        A row whose id is another source's takes it from no row of that source, wherever in the job that comes.
        """
        outcomes: list[Unchanged | Refused | Unread] = []
        stored = self._lookup(list({entry.id: None for entry in entries})) if entries else {}
        own: list[Entry] = []
        for entry in entries:
            if entry.id in stored and not self._take_over and (reason := _taken(entry, stored[entry.id])):
                outcomes.append(refuse(entry.origin, "IdTaken", reason))
            else:
                own.append(entry)
        for entry in self._first_of_each(own, outcomes):
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
            before = met.get(entry.id)
            if before is None:
                met[entry.id] = digest + self._number(entry).to_bytes(4)
                fresh.append(entry)
            elif before[:-4] == digest:
                outcomes.append(Unchanged(origin=entry.origin))
            else:
                source = list(self._sources)[int.from_bytes(before[-4:])]
                apart = "index one of the two by itself with --id-prefix TEXT"
                remedy = apart if source != _source(entry) else "give each row an id of its own"
                reason = (
                    f"{name_of(None, entry.origin)}: the id {entry.id!r} was given before in this job, by another "
                    f"input of {name_of(None, source)}, which stays; {remedy}"
                )
                outcomes.append(refuse(f"{entry.origin}~{digest.hex()[:8]}", "DuplicateId", reason))
        self._seen.meet((entry.id, met[entry.id]) for entry in fresh)
        if captions := [id_of(one.text.uri) for one in fresh if one.image and isinstance(one.text, Reference)]:
            self._seen.caption(captions)
        return fresh

    def _number(self, entry: Entry) -> int:
        return self._sources.setdefault(_source(entry), len(self._sources))


ID_REMEDY = "give this source's ids a prefix (--id-prefix TEXT), or let it replace what has them (--take-over)"


def _source(entry: Entry) -> str:
    return str(entry.metadata.get(SOURCE, entry.origin.partition("#")[0]))


def _taken(entry: Entry, stored: Item) -> str | None:
    """Why a row may not replace a stored item: the id that it brings is another source's."""
    owner = stored.metadata.get(SOURCE)
    if entry.problem or not entry.has_own_id or owner == _source(entry):
        return None
    whose = "an item that came by API or import" if owner is None else f"an item from {name_of(None, str(owner))}"
    return f"{name_of(None, entry.origin)}: the id {entry.id!r} already belongs to {whose}; {ID_REMEDY}"
