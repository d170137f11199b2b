"""Lines of bounded length of a file, also of a compressed one."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from oneword.indexer.sources.place import Place

DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError)
"""What reading a file, perhaps a truncated or corrupt compressed one, raises."""

BOM = b"\xef\xbb\xbf"
_PACKED = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def lines(place: Place, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1 on, bytes with the line end), with None for a line of more than `limit` bytes. Raises `DAMAGE`."""
    with place.open() as raw, closing(unpacked(raw)) as file:
        number = 0
        while line := file.readline(limit + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(BOM)
            if len(line) > limit and not line.endswith(b"\n"):
                while (more := file.readline(2**16)) and not more.endswith(b"\n"):
                    pass
                yield number, None
            else:
                yield number, line


def unpacked(file: BinaryIO) -> BinaryIO:
    """The file, decompressed if it begins as gzip, bzip2 or xz; as UTF-8 if its byte order mark says UTF-16."""
    start = file.read(2)
    file.seek(0)
    if start in _WIDE:  # as spreadsheets save "Unicode text"
        return codecs.EncodedFile(file, "utf-8", "utf-16")
    return _PACKED[start](file) if start in _PACKED else file  # type: ignore[operator]
