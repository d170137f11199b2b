"""One input of a job, as its source describes it. Light to import: every source does."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from oneword.engine.chunks import Splitter
from oneword.engine.files import mark, part_of, whole
from oneword.storage import Item, Metadata
from oneword.storage.metadata import Kind

OUTSIDE_ROOTS = "OutsideRoots"
"""Kind of the problem of an input whose content is where nothing may be read."""

SOURCE = "_source"
"""Metadata of every item from a table, shard, data set or list of URLs: the URI of that."""

FACTS = "_facts"
"""Metadata of every item with facts that were read from its image: their names."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Content that a worker reads later, at a `file://`, `http(s)://` or fsspec URI, or in a part of the file there."""

    uri: str

    @property
    def path(self) -> Path | None:
        """The local file, or None if it is none."""
        return path_of(self.uri)

    @property
    def file(self) -> str:
        """URI of the file that it is, or is a part of."""
        return whole(self.uri)

    @property
    def part(self) -> str | None:
        """Which part of its file, as in the URI: `page=3`, `t=12.5,17`; None for all of it, and on the web."""
        return part_of(self.uri)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why an input cannot be indexed, seen before its content was read: a kind for programs, a reason for people."""

    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One input: an image, a text, or an image with its text.

    Small and picklable: content is included where the source has read it anyway, else referred to.

    Args:
        id: of the item that it becomes. Of inputs with one id in one job the first counts.
        uri: of the item: the image's or the text's own, as people reach it.
        origin: what the input is called in reports and in quarantine: a URI that no other input of the source has.
        image: encoded bytes of an image, or where they are.
        text: the text or caption, or where the file with it is.
        metadata: filterable facts.
        facts: that are read from the image where the metadata lacks them, with the kind each is to have; set by
            `inputs.Inputs`.
        problem: why it cannot be indexed; then it is quarantined.
        source: URI of the list that it is in; None: the origin up to its "#".
        divisible: whether its file may have parts; then `parts.Parts` makes an entry of each.
        document: id of the file that was found to have these parts, or to be one.
        stored: the item of this id that the collection held when the job began; set by `changes.Triage`.
    """

    id: str
    uri: str
    origin: str
    image: bytes | Reference | None = None
    text: str | Reference | None = None
    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    facts: Mapping[str, Kind] = field(default_factory=dict)
    problem: Problem | None = None
    source: str | None = None
    divisible: bool = False
    document: str | None = None
    stored: Item | None = None

    @property
    def has_own_id(self) -> bool:
        """Whether its id was given with it, and does not come from a URI, which no other source has."""
        return self.id not in (id_of(self.uri), id_of(self.origin))

    @property
    def digest(self) -> bytes:
        """Equal for equal entries."""
        image = self.image if isinstance(self.image, Reference | None) else hashlib.blake2b(self.image).hexdigest()
        facts = repr((self.id, self.uri, image, self.text, sorted(self.metadata.items()), self.problem))
        return hashlib.blake2b(facts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def failed(origin: str, kind: str, reason: str) -> Entry:
    """The entry of an input that cannot be read."""
    return Entry(id=id_of(origin), uri=origin, origin=origin, problem=Problem(kind=kind, reason=reason))


def name_of(content: bytes | str | Reference | None, origin: str) -> str:
    """What errors call some content: a file's path, with the row or sample that it is in; or the URI as it is."""
    uri = content.uri if isinstance(content, Reference) else origin
    path = path_of(uri)
    if path is None:
        return uri
    inside = unquote(uri.partition("#")[2], errors="backslashreplace")
    return f"{path}, {inside}" if inside else str(path)


def input_of(item: Item) -> str:
    """The id of the input that became an item: of a chunk its text's; of any other, also of a part, its own."""
    return str(item.metadata.get("document", item.id)) if "chunks" in item.metadata else item.id


def path_of(uri: str) -> Path | None:
    """The local path that a `file://` URI stands for, whatever bytes its name has; None for other URIs."""
    if not uri.startswith("file:"):
        return None
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def id_of(uri: str) -> str:
    """First 16 hex digits of the URI's SHA-256: the same place is the same item, for ever."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def etag(entry: Entry, splitter: Splitter | None) -> str | None:
    """A mark that changes whenever the content may have: time and size of files, digests of included bytes.

    Included texts have none (they are compared themselves), nor has what only reading can compare; a text file's mark
    changes with the length of chunks, too.
    """
    marks = [_mark(part) for part in (entry.image, entry.text) if part is not None and not isinstance(part, str)]
    if not marks or None in marks:
        return None
    if splitter is not None and splitter.tokens is not None and entry.image is None:
        marks.append(str(splitter.tokens))
    return "+".join(mark for mark in marks if mark)


def _mark(content: bytes | Reference) -> str | None:
    if isinstance(content, bytes):
        return hashlib.blake2b(content, digest_size=16).hexdigest()
    if content.path is not None:
        try:
            return mark(content.path.stat())
        except OSError:
            return None
    if content.uri.startswith(("http://", "https://")):
        return None
    return remote_mark(content.file)


def remote_mark(uri: str) -> str | None:
    """What an object store says of an object (ETag, or time and size), by fsspec."""
    try:
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(uri)
        return str(filesystem.ukey(path))[:32]
    except Exception:  # missing package, no such object, no access: reading it reports which
        return None
