"""Makes of an entry what its rows need: reads, decodes, hashes, cuts into passages; or says why not."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol
from unicodedata import normalize
from urllib.parse import unquote

from oneword.engine.errors import BadText, BlankText, EmptyFile, InputError
from oneword.engine.inputs import Document, Image, Input, Text
from oneword.engine.passages import Splitter
from oneword.engine.pictures import Picture
from oneword.engine.texts import decode_text, is_blank
from oneword.indexer.entry import Entry, Reference, path_of
from oneword.indexer.etag import ETAG, etag
from oneword.indexer.sources.metadata import SET_ASIDE
from oneword.storage import Item, Metadata, Refused
from oneword.storage.visible import visible

CAPTION_FILE = "caption file"
"""What values that were set aside are called which are captions that could not be read."""

DIGEST = "_digest"
"""Metadata of every passage: a digest of the text that it is of."""

Read = Callable[[Reference], bytes]
"""Reads content from where it is; raises InputError."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What becomes one row: the item, but for its vector, and what the vector is made of."""

    item: Item
    content: Input

    @property
    def pixels(self) -> int:
        """How many pixels it holds in memory."""
        image = self.content.image if isinstance(self.content, Document) else self.content
        return image.held if isinstance(image, Image) else 0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An entry, read: one piece, or a long text's passages in their order."""

    id: str
    origin: str
    pieces: tuple[Piece, ...]

    @property
    def pixels(self) -> int:
        """How many pixels it holds in memory."""
        return sum(piece.pixels for piece in self.pieces)


class Decoder(Protocol):
    """Decodes pictures, somewhere."""

    def __call__(self, data: bytes, name: str) -> Picture:
        """Decodes an encoded picture, which errors call `name`; raises InputError."""
        ...


def load(entry: Entry, read: Read, decode: Decoder, splitter: Splitter | None) -> Loaded | Refused:
    """Reads an entry. Never raises for a bad input: that comes back as `Refused`.

    splitter: for texts without a picture; None leaves them whole.
    """
    if entry.problem:
        return refuse(entry.origin, entry.problem.kind, entry.problem.reason)
    try:
        mark = etag(entry, splitter)  # before reading: of two changes in a row, none may be missed
        picture = None
        if entry.image is not None:
            data = entry.image if isinstance(entry.image, bytes) else read(entry.image)
            picture = decode(data, name_of(entry.image, entry.origin))
        text, fault = _text(entry, read)
        if fault:
            entry = _with_fault(entry, fault)
        text = None if text is None else normalize("NFC", text)
        return Loaded(id=entry.id, origin=entry.origin, pieces=_pieces(entry, picture, text, mark, splitter))
    except InputError as error:
        name, reason = name_of(entry.image or entry.text, entry.origin), str(error)
        named = isinstance(entry.text, Reference) or reason.startswith(name)
        return refuse(entry.origin, type(error).__name__, reason if named else f"{name}: {reason}")


def refuse(origin: str, kind: str, reason: str) -> Refused:
    """A quarantine record: one line that a terminal shows as it is, whatever a file's name holds."""
    return Refused(uri=origin, reason=visible(reason), kind=kind, at=datetime.now(UTC))


def name_of(content: bytes | str | Reference | None, origin: str) -> str:
    """What errors call some content: a file's path, with the row or sample that it is in; or the URI as it is."""
    uri = content.uri if isinstance(content, Reference) else origin
    path = path_of(uri)
    if path is None:
        return uri
    inside = unquote(uri.partition("#")[2], errors="backslashreplace")
    return f"{path}, {inside}" if inside else str(path)


def _text(entry: Entry, read: Read) -> tuple[str | None, str | None]:
    """The text; None if there is none, or only an empty file beside an image. And why a caption file is left out."""
    match entry.text:
        case Reference() as place:
            name = name_of(place, entry.origin)
            if entry.image is not None:
                return _caption(read, place, name)
            return decode_text(read(place), name=name), None
        case str(text):
            return None if is_blank(text) and entry.image is not None else text, None
        case _:
            return None, None


def _with_fault(entry: Entry, fault: str) -> Entry:
    """Without its caption, and with the reason where other values are that could not be kept.

    As the reason is no fact of the entry, the next job reads the image and its caption again.
    """
    aside = entry.metadata.get(SET_ASIDE)
    kept = aside if isinstance(aside, list) else []
    return replace(entry, metadata={**entry.metadata, SET_ASIDE: [*kept, f"{CAPTION_FILE}: {visible(fault)}"]})


def _caption(read: Read, place: Reference, name: str) -> tuple[str | None, str | None]:
    """Returns a caption, also in Windows' Latin-1; None for an empty one, and for one that is no text, with why.

    What cannot be read as a text does not cost the image.
    """
    try:
        data = read(place)
        try:
            return decode_text(data, name=name), None
        except BadText:
            text = data.decode("cp1252", "replace")
            if not all(sign.isprintable() or sign.isspace() for sign in text.replace("\ufffd", "\0")):
                raise
            return decode_text(text.encode(), name=name), None
    except (EmptyFile, BlankText):
        return None, None
    except InputError as error:
        return None, str(error)


def _pieces(
    entry: Entry, picture: Picture | None, text: str | None, mark: str | None, splitter: Splitter | None
) -> tuple[Piece, ...]:
    metadata: dict[str, Metadata] = {**entry.metadata}
    if mark is not None:
        metadata[ETAG] = mark
    if picture is not None:
        content: Input = picture.image if text is None else Document(image=picture.image, text=text)
        return (_piece(entry, entry.id, content, text, metadata, picture),)
    text = text or ""
    whole = Text(text=text)  # checked before it is cut
    passages = splitter.split(text) if splitter else [text]
    if len(passages) == 1:
        return (_piece(entry, entry.id, whole, text, metadata, None),)
    metadata[DIGEST] = _digest(text, splitter)
    return tuple(
        _piece(
            entry,
            passage_id(entry.id, number),
            Text(text=passage),
            passage,
            {**metadata, "document": entry.id, "passage": number + 1, "passages": len(passages)},
            None,
        )
        for number, passage in enumerate(passages)
    )


def _digest(text: str, splitter: Splitter | None) -> str:
    """Tells a whole text, cut as it is, from any other: its first passage answers for all."""
    return hashlib.blake2b(f"{splitter and splitter.tokens} {text}".encode(), digest_size=16).hexdigest()


def passage_id(document: str, number: int) -> str:
    """The id of a document's passage, counted from 0; the first has the document's own."""
    return document if number == 0 else f"{document}#{number + 1}"


def _piece(
    entry: Entry,
    item_id: str,
    content: Input,
    text: str | None,
    metadata: dict[str, Metadata],
    picture: Picture | None,
) -> Piece:
    size = picture.image.size if picture else (None, None)
    return Piece(
        content=content,
        item=Item(
            id=item_id,
            modality="image" if picture else "text",
            uri=entry.uri,
            text=text,
            content_hash=content.content_hash,
            image_hash=picture.image.content_hash if picture else None,
            width=size[0],
            height=size[1],
            thumbnail=picture.thumbnail if picture else None,
            metadata=metadata,
        ),
    )
