"""One input of a job, as a source tells of it: where its content is, what it is called, what is known of it."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from oneword.storage import Metadata

OUTSIDE_ROOTS = "OutsideRoots"
"""Kind of the problem of an input whose content is where nothing may be read."""


SOURCE = "_source"
"""Metadata of every item from a table, shard, data set or list of URLs: the URI of that."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Content that a worker reads later, at a `file://`, `http(s)://` or fsspec URI."""

    uri: str

    @property
    def path(self) -> Path | None:
        """The local file, or None if it is none."""
        return path_of(self.uri)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why an input cannot be indexed, seen before its content was read: a kind for programs, a reason for people."""

    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One input: a picture, a text, or a picture with its text.

    Small and picklable: content is given where the source has read it anyway, else named.

    Args:
        id: of the item that it becomes. Of inputs with one id in one job the first counts.
        uri: of the item: the picture's or the text's own, as people reach it.
        origin: what the input is called in reports and in quarantine: a URI that no other input of the source has.
        image: encoded bytes of a picture, or where they are.
        text: the text or caption, or where the file with it is.
        metadata: filterable facts.
        problem: why it cannot be indexed; then it is quarantined.
        source: URI of the list that it is in; None: what its origin says.
    """

    id: str
    uri: str
    origin: str
    image: bytes | Reference | None = None
    text: str | Reference | None = None
    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    problem: Problem | None = None
    source: str | None = None

    @property
    def has_own_id(self) -> bool:
        """Whether its id was given with it, and does not come from a URI, which no other source has."""
        return self.id not in (id_of(self.uri), id_of(self.origin))

    @property
    def digest(self) -> bytes:
        """Equal for entries that say the same."""
        image = self.image if isinstance(self.image, Reference | None) else hashlib.blake2b(self.image).hexdigest()
        told = repr((self.id, self.uri, image, self.text, sorted(self.metadata.items()), self.problem))
        return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()


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
