"""All inputs of a job's sources."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from oneword.engine.facts import PLACE, WORDS, selected
from oneword.engine.files import whole
from oneword.engine.roots import OUTSIDE, Roots
from oneword.indexer import places
from oneword.indexer.decode import Decoders
from oneword.indexer.entry import OUTSIDE_ROOTS, SOURCE, Entry, Problem, Reference, name_of
from oneword.indexer.options import SourceOptions
from oneword.indexer.parts import Stored, divided, known
from oneword.indexer.sources import open_sources
from oneword.indexer.sources.folder import UNREADABLE_FOLDER, FolderSource
from oneword.indexer.sources.metadata import SET_ASIDE, fit, has_room
from oneword.indexer.sources.tables import TableSource
from oneword.storage.metadata import Kind

AT_ONCE = 256
"""Files that are looked up in the collection together."""

log = logging.getLogger(__name__)


class Inputs:
    """The sources that some paths are, one after the other. See `open_sources` for what it takes and raises.

    Attributes:
        roots: outside which nothing is read; None: anything may be.
        kinds: of the collection's metadata keys; set by the job, and extended by new keys.
        set_aside: how many values were not of their key's kind, see `oneword.indexer.sources.metadata.fit`.
        incomplete: whether inputs may be missing from what was read so far: a folder or a table could not be read to
            its end, or a row could not be read.
        stored: what the collection held; set by the job, unless all is to be read again.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        options: SourceOptions,
        only: frozenset[str] | None = None,
        roots: Roots | None = None,
        decoders: int | None = None,
    ) -> None:
        """only: nothing but inputs of these origins, or from these files, tables, shards and folders.

        decoders: processes that find the parts of files, see `oneword.indexer.decode.Decoders`.
        """
        self.roots = roots
        self.stored: Stored | None = None
        self._decoders = Decoders(decoders, roots=roots)
        self._sources = open_sources(paths, options, roots) if paths else []
        self._only = only
        self._files = {whole(origin) for origin in only or ()}
        self._prefix = options.id_prefix
        self._facts: Mapping[str, Kind] = selected(options.exif)
        if not self._facts.keys().isdisjoint(PLACE):
            places.check()
        self._claimed = False
        self.kinds: dict[str, Kind] = {}
        self.set_aside: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        for source in self._sources:
            if isinstance(source, TableSource):
                source.kinds = self.kinds
        self.incomplete = False

    @property
    def total(self) -> int | None:
        """Number of inputs, if that is cheap to know."""
        totals = [source.total for source in self._sources]
        return None if self._only is not None or None in totals else sum(one for one in totals if one is not None)

    @property
    def containers(self) -> frozenset[str]:
        """The tables, shards, data sets and lists that are read, see `Source`."""
        return frozenset[str]().union(*(source.containers for source in self._sources))

    @property
    def ignored(self) -> Counter[str]:
        """Files that are not inputs, by suffix."""
        return sum((source.ignored for source in self._sources), Counter())

    def entries(self) -> Iterator[Entry]:
        """All inputs, each with the table, shard or data set that it is in."""
        for source in self._sources:
            in_folder = isinstance(source, FolderSource)
            for entry, parts in self._with_parts(source.entries(), AT_ONCE if in_folder else 1):
                if entry.problem and (not in_folder or entry.problem.kind == UNREADABLE_FOLDER):
                    self.incomplete = True
                if not self._is_selected(entry):
                    continue
                if self.roots is not None:
                    entry = _within(entry, self.roots)
                divisible = entry.divisible and not entry.problem
                for one in divided(entry, self._decoders, parts) if divisible else (entry,):
                    if one is entry or self._is_selected(one):
                        yield self._fitted(one if in_folder else self._marked(one))
        for key, count in self.set_aside.items():
            kind = self.kinds.get(key)
            log.warning(
                "%s of metadata %r, such as %s, %s: kept apart; find with --where 'exists(%s)'",
                f"{count:,} values" if count > 1 else "1 value",
                key,
                self._examples[key],
                f"not of its kind ({kind})" if kind else "beyond the number of keys that a collection has",
                SET_ASIDE,
            )

    def _with_parts(self, entries: Iterator[Entry], at_once: int) -> Iterator[tuple[Entry, list[str] | None]]:
        """Entries, each with the parts that are known of its file; some are looked up together."""
        while some := list(islice(entries, at_once)):
            found = known(some, self.stored) if self.stored is not None else {}
            yield from ((entry, found.get(entry.id)) for entry in some)

    def _is_selected(self, entry: Entry) -> bool:
        """Whether it, or a part of its file, is to be read."""
        if self._only is None or (entry.divisible and entry.document is None and entry.origin in self._files):
            return True
        return not self._only.isdisjoint(_inside(entry.origin))

    def _fitted(self, entry: Entry) -> Entry:
        """The entry with metadata of the collection's kinds; values that cannot be converted are set aside."""
        fitted, aside = fit(entry.metadata, self.kinds)
        for key in aside:
            self.set_aside[key] += 1
            self._examples.setdefault(key, repr(entry.metadata[key])[:80])
        facts = self._claim() if entry.image is not None and self._facts else {}
        return entry if fitted is entry.metadata and not facts else replace(entry, metadata=fitted, facts=facts)

    def _claim(self) -> Mapping[str, Kind]:
        """The facts that are read from images, with the kinds that their keys have; new ones are added.

        It is done at the first image: the kinds that its own metadata has come first.
        """
        if not self._claimed:
            for name, kind in self._facts.items():
                if name not in WORDS and has_room(name, self.kinds):
                    self.kinds.setdefault(name, kind)
            self._facts = {
                name: self.kinds.get(name, kind)
                for name, kind in self._facts.items()
                if name in WORDS or name in self.kinds
            }
            self._claimed = True
        return self._facts

    def _marked(self, entry: Entry) -> Entry:
        """With its source, and the prefix before an id that a row brought. A URL given outright has no source."""
        source = entry.source or entry.origin.partition("#")[0]
        if source == entry.uri:
            return entry
        key = self._prefix + entry.id if self._prefix and entry.has_own_id else entry.id
        return replace(entry, id=key, metadata={**entry.metadata, SOURCE: source})


def _inside(origin: str) -> Iterator[str]:
    """The input's origin, its file, table or shard, and the folders around that."""
    yield origin
    place = origin.partition("#")[0]
    while place.strip("/"):
        yield place
        place = place.rpartition("/")[0]


def _within(entry: Entry, roots: Roots) -> Entry:
    """The entry; with a problem where it refers to content outside the roots, which nothing has opened so far."""
    for part in (entry.image, entry.text):
        if isinstance(part, Reference) and not roots.allow(part.uri):
            of, name = name_of(None, entry.origin), name_of(part, entry.origin)
            reason = f"{name} {OUTSIDE}" if of == name else f"{of}: {name} {OUTSIDE}"
            return replace(entry, image=None, text=None, problem=Problem(kind=OUTSIDE_ROOTS, reason=reason))
    return entry
