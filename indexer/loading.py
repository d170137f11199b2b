"""Reads one entry from disk and decodes it, or says why not. Runs in worker threads."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import PIL.Image

from engine.errors import BlankText, EmptyFile, InputError
from engine.images import decode_file
from engine.inputs import Document, Image, Input, Text
from engine.texts import read_text_file
from indexer.folder import Entry
from storage import Refused

THUMBNAIL = 256
"""Longest side of a thumbnail, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A decoded entry, ready to be embedded."""

    entry: Entry
    content: Input
    content_hash: str

    @property
    def image(self) -> Image | None:
        """The picture, if there is one."""
        match self.content:
            case Image():
                return self.content
            case Document():
                return self.content.image
            case _:
                return None

    @property
    def text(self) -> str | None:
        """The text or caption, if there is one."""
        return self.content.text if isinstance(self.content, Text | Document) else None

    @property
    def pixels(self) -> int:
        """How many pixels it holds in memory."""
        return self.image.size[0] * self.image.size[1] if self.image else 0

    def thumbnail(self) -> bytes | None:
        """A small WebP of the picture."""
        if self.image is None:
            return None
        small = self.image.pixels.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.BICUBIC)
        file = io.BytesIO()
        small.save(file, "WEBP", quality=80)
        return file.getvalue()


def load(entry: Entry) -> Loaded | Refused:
    """Reads, decodes and hashes an entry. Never raises for a bad input: that comes back as `Refused`."""
    if entry.problem:
        return refuse(entry, "UnreadableFile", f"{entry.path}: {entry.problem}")
    try:
        content = _read(entry)
        return Loaded(entry=entry, content=content, content_hash=content.content_hash)
    except InputError as error:
        return refuse(entry, type(error).__name__, str(error))
    except MemoryError:
        return refuse(entry, "ImageTooLarge", f"{entry.path}: does not fit into memory; scale it down first")


def refuse(entry: Entry, kind: str, reason: str) -> Refused:
    """The quarantine record of an entry. File names that are no UTF-8 are shown with escapes."""
    printable = reason.encode("utf-8", "backslashreplace").decode()
    return Refused(uri=entry.uri, reason=printable, kind=kind, at=datetime.now(UTC))


def _read(entry: Entry) -> Input:
    if entry.kind == "text":
        return Text(text=read_text_file(entry.path))
    image = Image(pixels=decode_file(entry.path))
    if entry.caption is None:
        return image
    try:
        caption = read_text_file(entry.caption)
    except (EmptyFile, BlankText):
        return image
    return Document(image=image, text=caption)
