"""Divides files into their parts, each an input of its own: pages of PDFs and TIFFs, moments of videos."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from oneword.engine import pdf, tiff
from oneword.engine.errors import InputError
from oneword.engine.files import ETAG, part_of
from oneword.engine.pdf import MOST_PAGES
from oneword.indexer.decode import Decoders
from oneword.indexer.entry import Entry, Problem, Reference, etag, id_of, name_of
from oneword.storage import Item, Metadata

SPAN = re.compile(r"t=([\d.]+),([\d.]+)")
"""A moment, in seconds."""

PAGED = (*pdf.EXTENSIONS, *tiff.EXTENSIONS)
"""Suffixes of files that are no videos."""


class Stored(Protocol):
    """What the collection held when the job began."""

    def lookup(self, ids: list[str]) -> dict[str, Item]:
        """The items of these ids."""

    def of_document(self, document: str) -> list[Item]:
        """The parts of a file, by the id that it would have as one item."""


def known(entries: Sequence[Entry], stored: Stored) -> dict[str, list[str]]:
    """Returns the parts of those files that are stored with the time and size that they have now, by the files' ids.

    They need not be opened. An empty list: the file is one.
    """
    files = [entry for entry in entries if entry.divisible and not entry.problem]
    firsts = {entry.id: id_of(f"{entry.uri}#page=1") for entry in files}
    found = stored.lookup([*firsts, *firsts.values()]) if files else {}
    parts: dict[str, list[str]] = {}
    for entry in files:
        mark = etag(entry, None)
        own, first = ((one := found.get(id_)) and _of(one, mark) for id_ in (entry.id, firsts[entry.id]))
        pages = first.metadata.get("pages") if first else None
        if isinstance(pages, int | float) and 1 <= pages <= MOST_PAGES:
            parts[entry.id] = [f"page={number}" for number in range(1, int(pages) + 1)]
        elif own:
            parts[entry.id] = []
        elif not entry.uri.lower().endswith(PAGED) and (moments := _moments(stored.of_document(entry.id), mark)):
            parts[entry.id] = moments
    return parts


def _of(item: Item, mark: str | None) -> Item | None:
    """The item, if its file had this mark."""
    return item if mark is not None and item.metadata.get(ETAG) == mark else None


def _moments(items: Sequence[Item], mark: str | None) -> list[str] | None:
    """The moments of a video; None where not all are stored."""
    parts = [part for item in items if _of(item, mark) and (part := part_of(item.uri)) and SPAN.fullmatch(part)]
    if len(parts) < len(items) or any(item.metadata.get("moments") != len(items) for item in items):
        return None
    return sorted(parts, key=lambda part: float(part.removeprefix("t=").partition(",")[0]))


def divided(entry: Entry, decoders: Decoders, parts: list[str] | None) -> Iterator[Entry]:
    """Yields an entry for each part of a file, or the entry itself where the file is one part.

    Args:
        decoders: find the parts, in another process.
        parts: as `known` has them; None: to be found.
    """
    assert isinstance(entry.image, Reference)
    if parts is None:
        try:
            parts = decoders.parts(entry.image, name_of(entry.image, entry.origin))
        except InputError as error:
            yield replace(entry, image=None, text=None, problem=Problem(kind=type(error).__name__, reason=str(error)))
            return
    if not parts:
        yield replace(entry, document=entry.id)
        return
    last = SPAN.fullmatch(parts[-1])
    duration = float(last[2]) if last else 0.0
    for number, part in enumerate(parts, start=1):
        uri = f"{entry.uri}#{part}"
        metadata: dict[str, Metadata] = {"document": entry.id}
        if span := SPAN.fullmatch(part):
            metadata |= {"start": float(span[1]), "end": float(span[2]), "duration": duration, "moments": len(parts)}
        else:
            metadata |= {"page": number, "pages": len(parts)}
        yield replace(
            entry,
            id=id_of(uri),
            uri=uri,
            origin=uri,
            image=Reference(uri=uri),
            metadata={**entry.metadata, **metadata},
            document=entry.id,
        )
