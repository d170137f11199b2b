"""Lines of a file, also a compressed one, of bounded length."""

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
"""What reading a compressed file that is cut or spoilt raises, besides what reading any file does."""

BOM = b"\xef\xbb\xbf"
_PACKED = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def lines(place: Place, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1 on, bytes with their line end); None for a line of more than `limit` bytes. Raises `DAMAGE`."""
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
    """The file, or what is in it if it begins as gzip, bzip2 or xz do; UTF-16, which is told by its mark, as UTF-8."""
    start = file.read(2)
    file.seek(0)
    if start in _WIDE:  # as spreadsheets save "Unicode text"
        return codecs.EncodedFile(file, "utf-8", "utf-16")
    return _PACKED[start](file) if start in _PACKED else file  # type: ignore[operator]
