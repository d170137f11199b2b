"""Compares inputs with what is stored of them."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from unicodedata import normalize

from oneword.engine.passages import Splitter
from oneword.indexer.entry import Entry, Reference
from oneword.indexer.etag import ETAG, etag
from oneword.indexer.loading import DIGEST, Loaded, passage_id
from oneword.storage import Item, Metadata

OURS = frozenset({ETAG, DIGEST, "document", "passage", "passages"})
"""Metadata that indexing adds."""

_fields = attrgetter(
    *(one.name for one in fields(Item) if one.compare and one.name not in ("metadata", "thumbnail", "indexed_at"))
)


def unchanged_unread(entry: Entry, stored: Item | None, splitter: Splitter | None) -> bool:
    """Whether the item is what the input would become, as far as can be told without reading it.

    What lies at a URL is taken to stay: whether it has changed is known once it is fetched again.
    """
    if stored is None or entry.problem or stored.uri != entry.uri or not _same_facts(entry.metadata, stored.metadata):
        return False
    if isinstance(entry.text, str) and (entry.image is None or stored.text != (normalize("NFC", entry.text) or None)):
        return False
    mark = etag(entry, splitter)
    if mark is None:
        return isinstance(entry.image, Reference) and entry.image.uri.startswith(("http://", "https://"))
    return stored.metadata.get(ETAG) == mark


def unchanged(loaded: Loaded, stored: Mapping[str, Item]) -> bool:
    """Whether the items are what the input has become. Of a split text the first passage tells for all."""
    first = loaded.pieces[0].item
    return first.id in stored and _alike(first, stored[first.id], without=())


def same_content(loaded: Loaded, stored: Mapping[str, Item]) -> bool:
    """Whether nothing but the file's time has changed."""
    first = loaded.pieces[0].item
    return first.id in stored and _alike(first, stored[first.id], without=(ETAG,))


def stale_passages(loaded: Loaded, stored: Mapping[str, Item]) -> list[str]:
    """Ids of passages that the text had when it was longer."""
    before = stored.get(loaded.id)
    count = before.metadata.get("passages", 1) if before else 1
    return [passage_id(loaded.id, number) for number in range(len(loaded.pieces), int(count))]  # type: ignore[arg-type]


def _same_facts(told: Mapping[str, Metadata], stored: Mapping[str, Metadata]) -> bool:
    return _zoned(told) == {key: value for key, value in stored.items() if key not in OURS or key in told}


def _alike(item: Item, stored: Item, without: tuple[str, ...]) -> bool:
    def facts(one: Item) -> dict[str, Metadata]:
        return _zoned({key: value for key, value in one.metadata.items() if key not in without})

    return _fields(item) == _fields(stored) and facts(item) == facts(stored)


def _zoned(metadata: Mapping[str, Metadata]) -> dict[str, Metadata]:
    """As it comes back from the store: a time without a zone is in UTC."""
    return {
        key: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
        for key, value in metadata.items()
    }
