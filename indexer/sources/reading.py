"""Reads the content that an entry refers to."""

from collections.abc import Callable

from oneword.engine.errors import EmptyFile, EngineError, FileTooLarge, UnreadableFile
from oneword.engine.roots import OUTSIDE, Roots
from oneword.indexer.entry import Reference
from oneword.indexer.errors import IndexerError
from oneword.indexer.sources.place import place_of, printable, reason_of

MAX_BYTES = 2**28
"""Largest file: 256 MiB, the raw size of the largest decoded image (oneword.engine.config.MAX_PIXELS)."""


def read(
    reference: Reference,
    *,
    fetch: Callable[[str], bytes] | None = None,
    max_bytes: int = MAX_BYTES,
    roots: Roots | None = None,
) -> bytes:
    """The bytes at a `file://`, `http(s)://` or fsspec URI.

    Args:
        fetch: downloads an http(s) URL; nothing else here connects to one.
        max_bytes: a longer file is not read to its end.
        roots: nothing outside is read. None: no limit.

    Raises:
        UnreadableFile: it does not exist, may not be read, is no regular file, or is outside the roots.
        FileTooLarge: longer than `max_bytes`.
        EmptyFile: zero bytes.
        InputError: raised by `fetch`.
    """
    uri = reference.uri
    name = printable(uri)
    if uri.lower().startswith(("http://", "https://")):
        if roots is not None and not roots.allow_uri(uri):
            raise UnreadableFile(f"{name} {OUTSIDE}")
        data = _fetched(uri, fetch)
    else:
        try:
            place = place_of(uri, roots)
            name = str(place)
            if fault := place.fault():
                raise UnreadableFile(f"{name}: {fault}")
            with place.open() as file:
                data = file.read(max_bytes + 1)
        except (OSError, ValueError, IndexerError) as error:
            raise UnreadableFile(f"{name}: cannot be read ({reason_of(error)})") from error
    if len(data) > max_bytes:
        raise FileTooLarge(f"{name}: longer than {max_bytes:,} bytes; scale it down or split it first")
    if not data:
        raise EmptyFile(f"{name}: the file is empty (0 bytes): expected an image or a text")
    return data


def _fetched(url: str, fetch: Callable[[str], bytes] | None) -> bytes:
    if fetch is None:
        raise UnreadableFile(f"{printable(url)}: is not fetched here; download it first")
    try:
        return fetch(url)
    except EngineError:
        raise
    except Exception as error:  # of whichever client it is
        raise UnreadableFile(f"{printable(url)}: cannot be fetched ({reason_of(error)})") from error
