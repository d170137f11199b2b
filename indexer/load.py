"""Reads an entry and makes its items: decodes, hashes, splits into chunks; or reports why not."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from unicodedata import normalize

from oneword.engine.chunks import Splitter
from oneword.engine.decoded import DecodedImage
from oneword.engine.errors import BadText, BlankText, EmptyFile, InputError
from oneword.engine.facts import GPS, PLACE, TAKEN, WORDS, Fact
from oneword.engine.files import ETAG
from oneword.engine.inputs import Document, Input, Text
from oneword.engine.roots import Roots
from oneword.engine.texts import decode_text, is_blank
from oneword.indexer import places
from oneword.indexer.entry import FACTS, Entry, Reference, etag, name_of
from oneword.indexer.outcome import Loaded, refuse
from oneword.indexer.sources.metadata import SET_ASIDE, as_kind_of
from oneword.indexer.sources.reading import read as read_reference
from oneword.storage import ImageWord, Item, Metadata, Refused
from oneword.storage.visible import visible

if TYPE_CHECKING:
    from oneword.engine.fetching import Fetcher

CAPTION_FILE = "caption file"
"""Name, among values that were set aside, of captions that could not be read."""

DIGEST = "_digest"
"""Metadata of every chunk: a digest of the whole text."""

Read = Callable[[Reference], bytes]
"""Reads content from where it is; raises InputError."""


class Decoder(Protocol):
    """Decodes images, in some process."""

    def __call__(self, data: bytes | Reference, name: str, *, facts: bool = False) -> DecodedImage:
        """Decodes an encoded image or a part of a file, which errors call `name`, and reads its facts if asked to.

        Raises:
            InputError
        """
        ...


class Contents:
    """A `Read` for many threads. URLs go through one fetcher, made when the first one is met."""

    def __init__(self, *, allow_private: bool = False, roots: Roots | None = None) -> None:
        """allow_private: let URLs lead to private addresses, too. roots: outside which nothing is read."""
        self._allow_private, self._roots = allow_private, roots
        self._mutex = threading.Lock()
        self._fetcher: Fetcher | None = None

    def __call__(self, reference: Reference) -> bytes:
        """The bytes; raises InputError."""
        return read_reference(reference, fetch=self._fetch, roots=self._roots)

    def close(self) -> None:
        """Closes connections."""
        if self._fetcher is not None:
            self._fetcher.close()

    def _fetch(self, url: str) -> bytes:
        with self._mutex:
            if self._fetcher is None:
                from oneword.engine.fetching import FetchConfig, Fetcher

                self._fetcher = Fetcher(FetchConfig(allow_private=self._allow_private))
        return self._fetcher.fetch(url).data


def load(entry: Entry, read: Read, decode: Decoder, splitter: Splitter | None) -> Loaded | Refused:
    """Reads an entry. Never raises for a bad input: that comes back as `Refused`.

    splitter: for texts without an image; None leaves them whole.
    """
    if entry.problem:
        return refuse(entry.origin, entry.problem.kind, entry.problem.reason)
    try:
        mark = etag(entry, splitter)  # before reading: of two changes in a row, none may be missed
        picture = None
        if entry.image is not None:
            data = entry.image
            if isinstance(data, Reference) and data.part is None:  # a part is read where it is decoded
                data = read(data)
            picture = decode(data, name_of(entry.image, entry.origin), facts=bool(entry.facts))
        text, fault = _text(entry, read)
        if fault:
            entry = _with_fault(entry, fault)
        text = None if text is None else normalize("NFC", text)
        return _loaded(entry, picture, text, mark, splitter)
    except InputError as error:
        name, reason = name_of(entry.image or entry.text, entry.origin), str(error)
        named = isinstance(entry.text, Reference) or reason.startswith(name)
        return refuse(entry.origin, type(error).__name__, reason if named else f"{name}: {reason}")


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

    As the reason is not a fact of the entry, the next job reads the image and its caption again.
    """
    aside = entry.metadata.get(SET_ASIDE)
    kept = aside if isinstance(aside, list) else []
    return replace(entry, metadata={**entry.metadata, SET_ASIDE: [*kept, f"{CAPTION_FILE}: {visible(fault)}"]})


def _caption(read: Read, place: Reference, name: str) -> tuple[str | None, str | None]:
    """Returns a caption, also in Windows' Latin-1; None for an empty one, and for one that is not text, with why.

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


def _loaded(
    entry: Entry, picture: DecodedImage | None, text: str | None, mark: str | None, splitter: Splitter | None
) -> Loaded:
    metadata: dict[str, Metadata] = {**entry.metadata}
    if mark is not None:
        metadata[ETAG] = mark
    if picture is not None:
        metadata |= {name: value for name, value in picture.about.items() if name not in metadata}
        facts = _facts(entry, picture.facts)
        if text is None and (words := [str(facts[one]) for one in WORDS if one in facts]):
            text = normalize("NFC", "\n".join(words))
        else:
            facts = {name: value for name, value in facts.items() if name not in WORDS}
        if facts:
            metadata[FACTS] = [*facts]
            metadata |= {name: value for name, value in facts.items() if name not in WORDS}
        content: Input = picture.image if text is None else Document(image=picture.image, text=text)
        return _fitted(entry, (_item(entry, content, text, metadata, picture=picture),), (content,), splitter)
    text = text or ""
    whole = Text(text=text)  # checked before it is split
    chunks = splitter.split(text) if splitter else [text]
    if len(chunks) == 1:
        return _fitted(entry, (_item(entry, whole, text, metadata),), (whole,), splitter)
    metadata[DIGEST] = _digest(text, splitter)
    contents = tuple(Text(text=chunk) for chunk in chunks)
    items = tuple(
        _item(
            entry,
            content,
            chunk,
            {**metadata, "document": entry.id, "chunk": number + 1, "chunks": len(chunks)},
            number=number,
        )
        for number, (chunk, content) in enumerate(zip(chunks, contents, strict=True))
    )
    return _fitted(entry, items, contents, splitter)


def _facts(entry: Entry, found: Mapping[str, Fact]) -> dict[str, Metadata]:
    """Returns the facts of an image's file that are to be kept and that the entry's own metadata lacks.

    Place and time come from one of the two: half of a place from each would be a third place.
    """
    own = set(entry.metadata)
    for group in (GPS, TAKEN, PLACE):
        own |= set(group) if own & set(group) else set()
    if not entry.facts.keys().isdisjoint(PLACE):
        holder = entry.metadata if "latitude" in own else found
        where = [one for name in GPS[:2] if isinstance(one := holder.get(name), int | float)]
        found = {**found, **(places.names(*where) if len(where) == 2 else {})}
    missing = {name: kind for name, kind in entry.facts.items() if name in found and name not in own}
    fitting = {name: as_kind_of(found[name], kind) for name, kind in missing.items()}
    return {name: value for name, value in fitting.items() if value is not None}


def _fitted(entry: Entry, items: tuple[Item, ...], contents: tuple[Input, ...], splitter: Splitter | None) -> Loaded:
    """The items, whole, with what the model reads of each."""
    read = contents if splitter is None else tuple(map(splitter.fitted, contents))
    return Loaded(origin=entry.origin, items=items, contents=read, shortened=read != contents)


def _digest(text: str, splitter: Splitter | None) -> str:
    """Distinguishes a whole text, split as it is, from any other, so that its first chunk stands for all of it."""
    return hashlib.blake2b(f"{splitter and splitter.tokens} {text}".encode(), digest_size=16).hexdigest()


def chunk_id(document: str, number: int) -> str:
    """The id of a document's chunk, counted from 0; the first has the document's own."""
    return document if number == 0 else f"{document}#{number + 1}"


def _item(
    entry: Entry,
    content: Input,
    text: str | None,
    metadata: dict[str, Metadata],
    *,
    picture: DecodedImage | None = None,
    number: int = 0,
) -> Item:
    """The item, but for its vector. number: of the chunk."""
    width, height = picture.image.size if picture else (None, None)
    return Item(
        id=chunk_id(entry.id, number),
        modality="image" if picture else "text",
        uri=entry.uri,
        text=text,
        content_hash=content.content_hash,
        image_hash=picture.image.content_hash if picture else None,
        width=width,
        height=height,
        thumbnail=picture.thumbnail if picture else None,
        image_text=picture.image_text if picture else None,
        image_words=_words(picture) if picture else None,
        metadata=metadata,
    )


def _words(picture: DecodedImage) -> tuple[ImageWord, ...] | None:
    """The words that an image shows, as they are stored: those of a page are known for certain."""
    if picture.image_text is None:
        return None
    return tuple(
        ImageWord(
            text=word.text,
            x=left,
            y=top,
            width=right - left,
            height=bottom - top,
            confidence=1.0,
        )
        for word in picture.words
        for left, top, right, bottom in (word.box,)
    )
