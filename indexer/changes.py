"""Which inputs of a job changed: compares them with what is stored, and with what the job has met already."""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any
from unicodedata import normalize

from oneword.engine.chunks import Splitter
from oneword.engine.files import ETAG
from oneword.engine.inputs import text_hash
from oneword.engine.texts import is_blank
from oneword.indexer.entry import FACTS, SOURCE, Entry, Reference, etag, id_of, name_of
from oneword.indexer.errors import TemporarySpace
from oneword.indexer.load import DIGEST, chunk_id
from oneword.indexer.outcome import Loaded, Unchanged, refuse
from oneword.storage import Item, Metadata, Refused

OURS = frozenset({ETAG, DIGEST, FACTS, "document", "chunk", "chunks", "page_label", "document_title"})
"""Metadata that indexing adds."""

CACHE = 32_000  # KiB of memory for pages of SQLite

Lookup = Callable[[list[str]], dict[str, Item]]

UNREAD = ("metadata", "thumbnail", "indexed_at", "image_words")
"""Fields of items that are compared otherwise, or follow from others."""

_fields = attrgetter(*(one.name for one in fields(Item) if one.compare and one.name not in UNREAD))


class Seen:
    """What a running job has met: ids of inputs and hashes of content, in a temporary SQLite database.

    It is not a ledger: what is done is known from the collection alone. Safe from several threads.
    """

    def __init__(self) -> None:
        self._folder = _temporary()
        self._mutex = threading.Lock()
        with self._asking():
            self._database = sqlite3.connect(Path(self._folder.name, "seen.db"), check_same_thread=False)
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE}", "locking_mode=EXCLUSIVE"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, digest BLOB) WITHOUT ROWID")
            self._database.execute("CREATE TABLE hashes (hash INTEGER PRIMARY KEY)")
            self._database.execute("CREATE TABLE settled (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> "Seen":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forgets everything."""
        self._database.close()
        self._folder.cleanup()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One thread at a time. Raises TemporarySpace for errors of the disk."""
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                raise TemporarySpace(self._folder.name, error) from error

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digests of the ids that were met before."""
        with self._asking():
            return dict(self._among("SELECT id, digest FROM ids WHERE id IN", ids))

    def meet(self, inputs: Iterable[tuple[str, bytes]]) -> None:
        """Remembers ids, each with the digest of its entry; the first of an id stays."""
        with self._asking():
            self._database.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", inputs)

    def settle(self, ids: Iterable[str]) -> None:
        """Remembers the ids of files of which all items are known: those of the job's entries, and no others.

        They are files that were divided into their parts, and caption files, which have none.
        """
        with self._asking():
            self._database.executemany("INSERT OR IGNORE INTO settled VALUES (?)", ((one,) for one in ids))

    def settled(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that were settled."""
        with self._asking():
            return {one for (one,) in self._among("SELECT id FROM settled WHERE id IN", ids)}

    def missing(self, ids: Sequence[str]) -> list[str]:
        """The ids that were not met."""
        met = self.digests(ids)
        return [one for one in ids if one not in met]

    def met_hashes(self, hashes: Iterable[str]) -> set[str]:
        """The SHA-256 hashes (hex) that were met before. All of them count as met from now on.

        64 bits are kept of each, so that those of a large job fit into memory; very rarely, a new one counts as met.
        """
        wanted = {one: int(one[:16], 16) - 2**63 for one in hashes}
        with self._asking():
            met = {one for (one,) in self._among("SELECT hash FROM hashes WHERE hash IN", list(wanted.values()))}
            fresh = [(one,) for one in wanted.values() if one not in met]
            self._database.executemany("INSERT OR IGNORE INTO hashes VALUES (?)", fresh)
            return {one for one, number in wanted.items() if number in met}

    def _among(self, select: str, values: Sequence[Any], at_once: int = 500) -> Iterable[Any]:
        for start in range(0, len(values), at_once):
            some = values[start : start + at_once]
            yield from self._database.execute(f"{select} ({','.join('?' * len(some))})", some)


class Triage:
    """Finds out which inputs of a job must be read.

    Args:
        lookup: what the collection held when the job began, by id.
        reread: read also what seems unchanged by its file's time and size.
        take_over: a row replaces the item of another source that has the same id; else it is refused.
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

    def sort(self, entries: Sequence[Entry]) -> list[Unchanged | Refused | Entry]:
        """What becomes of each entry; those that must be read come back with `stored` set.

        First those refused for their ids, then those met before, then the others in their order. So a row that is
        refused because its id belongs to another source takes the id from no row of that source.
        """
        outcomes: list[Unchanged | Refused | Entry] = []
        stored = self._lookup(list({entry.id: None for entry in entries})) if entries else {}
        own: list[Entry] = []
        for entry in entries:
            if entry.id in stored and not self._take_over and (reason := _taken(entry, stored[entry.id])):
                outcomes.append(refuse(entry.origin, "IdTaken", reason))
            else:
                own.append(entry)
        for entry in self._first_of_each(own, outcomes):
            before = stored.get(entry.id)
            if not self._reread and unchanged_unread(entry, before, self._splitter):
                outcomes.append(Unchanged(origin=entry.origin))
            else:
                outcomes.append(entry if before is None else replace(entry, stored=before))
        return outcomes

    def _first_of_each(self, entries: Sequence[Entry], outcomes: list[Unchanged | Refused | Entry]) -> list[Entry]:
        """Entries whose id was not met before; adds the outcomes of the others."""
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
        settled = [id_of(one.text.uri) for one in fresh if one.image and isinstance(one.text, Reference)]
        settled += {one.document for one in fresh if one.document is not None}
        if settled:
            self._seen.settle(settled)
        return fresh

    def _number(self, entry: Entry) -> int:
        return self._sources.setdefault(_source(entry), len(self._sources))


ID_REMEDY = "give this source's ids a prefix (--id-prefix TEXT), or let it replace what has them (--take-over)"


def _source(entry: Entry) -> str:
    return str(entry.metadata.get(SOURCE, entry.origin.partition("#")[0]))


def _taken(entry: Entry, stored: Item) -> str | None:
    """Why a row may not replace a stored item: its id belongs to another source."""
    owner = stored.metadata.get(SOURCE)
    if entry.problem or owner == _source(entry) or not entry.has_own_id:
        return None
    whose = "an item that came by API or import" if owner is None else f"an item from {name_of(None, str(owner))}"
    return f"{name_of(None, entry.origin)}: the id {entry.id!r} already belongs to {whose}; {ID_REMEDY}"


def unchanged_unread(entry: Entry, stored: Item | None, splitter: Splitter | None) -> bool:
    """Whether the item is what the input would become, as far as can be known without reading it.

    Content at a URL is taken to be unchanged: only fetching it again would show. Facts that are no longer to be read
    from an image are a change; those that could be read in addition are not.
    """
    if stored is None or entry.problem or stored.uri != entry.uri or not _same_facts(entry, stored.metadata):
        return False
    if isinstance(entry.text, str):
        text = normalize("NFC", entry.text)
        if stored.text != (text or None):
            return False
        if entry.image is None:
            return _is_whole(stored, text, splitter)
    mark = etag(entry, splitter)
    if mark is None:
        return isinstance(entry.image, Reference) and entry.image.uri.startswith(("http://", "https://"))
    return stored.metadata.get(ETAG) == mark


def _is_whole(stored: Item, text: str, splitter: Splitter | None) -> bool:
    """Whether an item is a text, embedded as itself, that is not to be split now."""
    if stored.modality != "text" or ETAG in stored.metadata or "chunks" in stored.metadata or is_blank(text):
        return False
    return stored.content_hash == text_hash(text) and (splitter is None or len(splitter.split(text)) == 1)


def compare(loaded: Loaded, stored: Item | None) -> Loaded | Unchanged:
    """Compares what an input has become with what is stored. Of a split text the first chunk stands for all."""
    first = loaded.items[0]
    if stored is None:
        return loaded
    if _alike(first, stored, without=()):
        return Unchanged(origin=loaded.origin)
    count = int(stored.metadata.get("chunks", 1))  # type: ignore[arg-type]
    return replace(
        loaded,
        before="touched" if _alike(first, stored, without=(ETAG,)) else "differing",
        stale=tuple(chunk_id(first.id, number) for number in range(loaded.rows, count)),
    )


def _same_facts(entry: Entry, stored: Mapping[str, Metadata]) -> bool:
    if entry.metadata == stored:
        return True
    read = facts if isinstance(facts := stored.get(FACTS), list) else []
    known = {key: value for key, value in stored.items() if key in entry.metadata or key not in (*OURS, *read)}
    return entry.facts.keys() >= set(read) and _zoned(entry.metadata) == known


def _alike(item: Item, stored: Item, without: tuple[str, ...]) -> bool:
    def facts(one: Item) -> dict[str, Metadata]:
        return _zoned({key: value for key, value in one.metadata.items() if key not in without})

    return _fields(item) == _fields(stored) and facts(item) == facts(stored)


def _zoned(metadata: Mapping[str, Metadata]) -> dict[str, Metadata]:
    """Metadata as the store returns it: a time without a zone is in UTC."""
    return {
        key: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
        for key, value in metadata.items()
    }


def _temporary() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="oneword-seen-")
    except OSError as error:
        raise TemporarySpace(os.environ.get("TMPDIR", "the system's temporary folder"), error) from error
