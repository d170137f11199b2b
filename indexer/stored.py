"""Finds again what a stored item was made of: its text, or the picture at its URI, if that is still the same."""

import stat
from pathlib import Path

from engine.errors import ImageTooLarge, InputError
from engine.images import decode_file
from engine.inputs import Document, Image, Input, Text
from engine.texts import is_blank
from indexer.entry import path_of
from indexer.loading import Piece, refuse
from storage import Item, Refused


def load_stored(item: Item) -> Piece | Refused:
    """Reads, decodes and compares. Never raises for an original that is gone or changed: that is `Refused`."""
    try:
        content = Text(text=item.text or "") if item.modality == "text" else _picture(item)
    except InputError as error:
        return refuse(item.uri, type(error).__name__, str(error))
    except MemoryError:
        reason = f"{item.uri}: does not fit into memory; scale it down first"
        return refuse(item.uri, ImageTooLarge.__name__, reason)
    if isinstance(content, str):
        return refuse(item.uri, "UnreadableFile", content)
    image = content.image if isinstance(content, Document) else content if isinstance(content, Image) else None
    if image and item.image_hash and image.content_hash != item.image_hash:
        reason = "the picture has changed since it was indexed; index it again, into the new collection"
        return refuse(item.uri, "Changed", f"{path_of(item.uri)}: {reason}")
    return Piece(item=item, content=content)


def _picture(item: Item) -> Input | str:
    """The picture with the stored caption, whatever a caption file says now; or why it cannot be read."""
    path = path_of(item.uri)
    if path is None:
        return f"{item.uri}: its original is no file on this machine; index it into the new collection"
    if problem := _problem(path):
        return f"{path}: {problem}"
    image = Image(pixels=decode_file(path))
    return Document(image=image, text=item.text) if item.text and not is_blank(item.text) else image


def _problem(path: Path) -> str | None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return None if regular else "not a regular file"
