"""Divides files into their parts, each an input of its own: pages of PDFs and TIFFs, moments of videos."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from oneword.engine.errors import InputError
from oneword.engine.files import ETAG, part_of
from oneword.indexer.decode import Decoders
from oneword.indexer.entry import Entry, Problem, Reference, etag, id_of, name_of
from oneword.storage import Item, Metadata

SPAN = re.compile(r"t=([\d.]+),([\d.]+)")
"""A moment, in seconds."""

Stored = Callable[[str], Sequence[Item]]
"""Returns the items whose document has an id, as the collection held them when the job began."""


def divided(entry: Entry, decoders: Decoders, stored: Stored | None = None) -> Iterator[Entry]:
    """Yields an entry for each part of a file, or the entry itself where the file is one part.

    A file of which all parts are stored, with the time and size that it has now, is not opened.

    Args:
        decoders: find the parts, in another process.
        stored: None: open it anyway.
    """
    assert isinstance(entry.image, Reference)
    parts = _known(entry, stored(entry.id)) if stored is not None else None
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


def _known(entry: Entry, items: Sequence[Item]) -> list[str] | None:
    """The parts as they are stored; empty: it is one; None: they are not known, or not all of them."""
    mark = etag(entry, None)
    if mark is None or not items or any(item.metadata.get(ETAG) != mark for item in items):
        return None
    found = {item.uri: item for item in items}
    if entry.uri in found:
        return [] if len(found) == 1 else None
    parts = [part for uri in found if (part := part_of(uri)) is not None]
    if len(parts) < len(found) or any(_siblings(item) != len(found) for item in items):
        return None
    return sorted(parts, key=lambda part: float(part.partition("=")[2].partition(",")[0]))


def _siblings(item: Item) -> Metadata | None:
    """Into how many parts its file was divided."""
    return item.metadata.get("pages", item.metadata.get("moments"))
