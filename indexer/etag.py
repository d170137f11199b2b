"""Tells whether an input is still what it was, without reading it."""

import hashlib

from oneword.engine.passages import Splitter
from oneword.indexer.entry import Entry, Reference

ETAG = "_etag"
"""Metadata of every item whose content was read from a file: what told that file, as it was, from any other."""


def etag(entry: Entry, splitter: Splitter | None) -> str | None:
    """A mark that changes whenever the content may have: time and size of files, digests of bytes at hand.

    Texts that are at hand have none (they are compared themselves), nor has what is elsewhere and cannot be told
    without being read; a text file's mark changes with the length of passages, too.
    """
    marks = [_mark(part) for part in (entry.image, entry.text) if part is not None and not isinstance(part, str)]
    if not marks or None in marks:
        return None
    if splitter is not None and entry.image is None:
        marks.append(str(splitter.tokens))
    return "+".join(mark for mark in marks if mark)


def _mark(content: bytes | Reference) -> str | None:
    if isinstance(content, bytes):
        return hashlib.blake2b(content, digest_size=16).hexdigest()
    if content.path is not None:
        try:
            status = content.path.stat()
        except OSError:
            return None
        return f"{status.st_mtime_ns:x}-{status.st_size:x}"
    if content.uri.startswith(("http://", "https://")):
        return None
    return _remote_mark(content.uri)


def _remote_mark(uri: str) -> str | None:
    """What an object store says of an object (ETag, or time and size), by fsspec."""
    try:
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(uri)
        return str(filesystem.ukey(path))[:32]
    except Exception:  # missing package, no such object, no access: reading it will say what
        return None
