"""Finds the original of a stored item: its text, or its image where it was, if that is still the same."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from oneword.engine.errors import InputError
from oneword.engine.inputs import Document, Image, Input, Text
from oneword.engine.texts import is_blank
from oneword.indexer.entry import SOURCE, Entry, Reference, name_of, path_of
from oneword.indexer.load import Decoder
from oneword.indexer.outcome import refuse
from oneword.indexer.sources import open_sources
from oneword.indexer.sources.reading import read
from oneword.storage import Item, Refused

AT_ONCE = 2
"""Images of a source that are decoded together."""


def source_of(item: Item) -> str | None:
    """Returns the URI of the shard, table or data set that holds an item's image; None for a file of its own."""
    source = item.metadata.get(SOURCE)
    inside = item.modality == "image" and item.image_hash and item.uri.partition("#")[0] == source
    return str(source) if inside else None


def decoded(source: str, readers: ThreadPoolExecutor, decode: Decoder) -> Iterator[list[Image]]:
    """The images in a shard, table or data set, some at a time, without those that cannot be decoded.

    Raises:
        IndexerError, OSError: it is gone, or cannot be read.
    """

    def image_of(entry: Entry) -> Image | None:
        assert isinstance(entry.image, bytes)
        try:
            return decode(entry.image, entry.origin).image
        except InputError:
            return None

    for one in open_sources([source]):
        entries = (entry for entry in one.entries() if isinstance(entry.image, bytes))
        while some := list(islice(entries, AT_ONCE)):
            yield [image for image in readers.map(image_of, some) if image is not None]


def with_caption(item: Item, image: Image) -> Input:
    """What is embedded of an image: with the stored caption, whatever its source says now."""
    return Document(image=image, text=item.text) if item.text and not is_blank(item.text) else image


def load_stored(item: Item, decode: Decoder) -> Input | Refused:
    """Reads, decodes and compares. Never raises for an original that is gone or changed: that is `Refused`."""
    try:
        content = Text(text=item.text or "") if item.modality == "text" else _image(item, decode)
    except InputError as error:
        return refuse(item.uri, type(error).__name__, str(error))
    if isinstance(content, str):
        return refuse(item.uri, "UnreadableFile", content)
    image = content.image if isinstance(content, Document) else content if isinstance(content, Image) else None
    if image and item.image_hash and image.content_hash != item.image_hash:
        reason = "the image has changed since it was indexed; index it again, into the new collection"
        return refuse(item.uri, "Changed", f"{name_of(Reference(uri=item.uri), item.uri)}: {reason}")
    return content


def _image(item: Item, decode: Decoder) -> Input | str:
    """The image with the stored caption, whatever a caption file says now; or why it cannot be read."""
    path = path_of(item.uri)
    if path is None:
        return f"{item.uri}: its original is not a file on this machine; index it into the new collection"
    if problem := _problem(path):
        return f"{path}: {problem}"
    reference = Reference(uri=item.uri)
    return with_caption(
        item, decode(reference if reference.part else read(reference), name_of(reference, item.uri)).image
    )


def _problem(path: Path) -> str | None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return None if regular else "not a regular file"
