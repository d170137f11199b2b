"""Finds again what a stored item was made of: its text, or the picture at its URI, if that is still the same."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from engine.errors import InputError
from engine.images import decode_file
from engine.inputs import Document, Image, Input, Text
from indexer.folder import Entry
from indexer.loading import Loaded, refuse
from storage import Item, Refused


@dataclass(frozen=True, kw_only=True)
class StoredEntry(Entry):
    """An item of a collection as an input. Its id and URI are the item's."""

    item: Item

    @property
    def uri(self) -> str:
        """The item's, whatever kind it is."""
        return self.item.uri

    @property
    def id(self) -> str:
        """The item's, whoever chose it."""
        return self.item.id


def entry_of(item: Item) -> StoredEntry:
    """The input that an item is; `problem` says why a picture cannot be read."""
    path, problem = Path(item.uri), None
    if item.modality == "image":
        parts = urlsplit(item.uri)
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            path = Path(os.fsdecode(unquote_to_bytes(parts.path)))
            problem = _problem(path)
        else:
            problem = "its original is no file on this machine; index it into the new collection"
    return StoredEntry(item=item, path=path, kind=item.modality, problem=problem)


def load_stored(entry: StoredEntry) -> Loaded | Refused:
    """Reads, decodes and compares. Never raises for an original that is gone or changed: that is `Refused`."""
    if entry.problem:
        return refuse(entry, "UnreadableFile", f"{entry.path}: {entry.problem}")
    item = entry.item
    try:
        content = _content(entry)
    except InputError as error:
        return refuse(entry, type(error).__name__, str(error))
    except MemoryError:
        return refuse(entry, "ImageTooLarge", f"{entry.path}: does not fit into memory; scale it down first")
    loaded = Loaded(entry=entry, content=content, content_hash=item.content_hash)
    if loaded.image and item.image_hash and loaded.image.content_hash != item.image_hash:
        reason = "the picture has changed since it was indexed; index it again, into the new collection"
        return refuse(entry, "Changed", f"{entry.path}: {reason}")
    return loaded


def _content(entry: StoredEntry) -> Input:
    """The stored text, or the picture with the stored caption: what a caption file says now does not matter."""
    text = entry.item.text
    if entry.kind == "text":
        return Text(text=text or "")
    image = Image(pixels=decode_file(entry.path))
    return Document(image=image, text=text) if text and text.strip() else image


def _problem(path: Path) -> str | None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return None if regular else "not a regular file"
