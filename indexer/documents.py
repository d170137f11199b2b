"""Files of several parts, in the process that decodes them: it opens a file itself, which may be larger than memory.

It keeps the last PDF open, as its pages are asked for one after the other.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO

import PIL.Image

from oneword.engine import pdf, raw, tiff, video
from oneword.engine.decoded import DecodedImage, decode_image, finished
from oneword.engine.encoder import Tiler
from oneword.engine.errors import EmptyFile, FileTooLarge, NotAnImage, TooManyPages, UnreadableFile
from oneword.engine.processes import inside
from oneword.engine.roots import Roots
from oneword.indexer.sources.place import place_of, reason_of

MAX_BYTES = 2**35
"""Largest file with parts: 32 GiB, of which only what a part needs is in memory."""

TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Signatures of TIFF and BigTIFF."""

KEPT = 50
"""Pages after which a PDF is opened again: what PDFium keeps of its fonts and images grows with them."""

ROOM = 2**31
"""Bytes of memory that a page or a moment may take beyond what its process has; 100 MB are usual. Our own choice."""


def find(name: str, path: str, roots: Roots | None, max_pixels: int) -> list[str] | None:
    """Returns the parts of a file as URIs name them (`page=1`, `t=0,7.5`); None for a file that is one by itself.

    Raises:
        InputError: the file has parts and cannot be opened, or they are none or too many.
    """
    with _opened(path, roots, name) as file:
        head = file.read(pdf.HEADER)
        file.seek(0)
        if pdf.is_pdf(head):
            with _limited():
                return [f"page={number}" for number in range(1, _document(file, name).pages + 1)]
        if (kind := video.format_of(head)) is not None:
            with _limited():
                spans = video.moments(file, kind, name, max_pixels)
            return [f"t={_plain(start)},{_plain(end)}" for start, end in spans]
        count = _tiff_pages(file, name) if head.startswith(TIFFS) else 1
        return [f"page={number}" for number in range(1, count + 1)] if count > 1 else None


def decode_part(
    name: str, path: str, roots: Roots | None, part: str, max_pixels: int, tiler: Tiler | None, facts: bool, ocr: bool
) -> DecodedImage:
    """Decodes a part of a file. See `find` and `oneword.engine.decoded.decode_image`.

    Raises:
        InputError
    """
    what, _, where = part.partition("=")
    with _opened(path, roots, name) as file:
        head = file.read(pdf.HEADER)
        file.seek(0)
        if what == "t":
            with _limited():
                pixels = _moment(file, head, name, float(where.partition(",")[0]), max_pixels)
            return finished(pixels, tiler, ocr=ocr)
        if not pdf.is_pdf(head):
            return decode_image(file.read(), name, max_pixels, tiler, facts=facts, page=int(where), ocr=ocr)
        with _limited():
            page = _document(file, name).page(int(where), name)
    if not page.text:
        return replace(finished(page.pixels, tiler, ocr=ocr), about=page.facts)
    return replace(finished(page.pixels, tiler), about=page.facts, image_text=page.text, words=page.words)


def _moment(file: BinaryIO, head: bytes, name: str, time: float, max_pixels: int) -> PIL.Image.Image:
    kind = video.format_of(head)
    if kind is None:
        raise NotAnImage(f"{name}: is no longer a video; index the file again")
    return video.frame_at(file, kind, name, time, max_pixels)


def _plain(seconds: float) -> str:
    """Seconds to the millisecond, without zeros at the end."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


_mutex = threading.Lock()


@contextmanager
def _limited() -> Iterator[None]:
    """Lets one thread at a time use PDFium or FFmpeg; where the process is one for decoding, it gets `ROOM` for that.

    What needs more memory ends the process, and is refused. The limit is kept on Linux only.
    """
    with _mutex:
        if not inside() or not os.path.exists("/proc/self/statm"):  # noqa: PTH110 (quicker)
            yield
            return
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (quicker)
            size = int(file.read().split()[0]) * resource.getpagesize()
        before, most = resource.getrlimit(resource.RLIMIT_AS)
        room = size + ROOM if most == resource.RLIM_INFINITY else min(size + ROOM, most)
        resource.setrlimit(resource.RLIMIT_AS, (room, most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (before, most))


@contextmanager
def _opened(path: str, roots: Roots | None, name: str) -> Iterator[BinaryIO]:
    try:
        with place_of(path, roots).open() as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise FileTooLarge(f"{name}: {size:,} bytes: expected at most {MAX_BYTES:,}; split it first")
            if not size:
                raise EmptyFile(f"{name}: the file is empty (0 bytes): expected a document or an image")
            yield file
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{name}: cannot be read ({reason_of(error)})") from error


def _tiff_pages(file: BinaryIO, name: str) -> int:
    """How many pages a TIFF has; 1 for one that cannot be opened, which decoding it reports."""
    if raw.is_raw(file.read(2**20)):
        return 1
    file.seek(0)
    try:
        with PIL.Image.open(file, formats=("TIFF",)) as image:
            count = sum(1 for _ in islice(tiff.pages(image), pdf.MOST_PAGES + 1))
    except Exception:  # a plugin may raise anything
        return 1
    if count > pdf.MOST_PAGES:
        raise TooManyPages(f"{name}: the TIFF has more than {pdf.MOST_PAGES:,} pages; split it into several")
    return count


_held: list[Any] = []
"""The PDF that is open: what its file is known by, the document, and how often it was asked for."""


def _document(file: BinaryIO, name: str) -> pdf.Document:
    about = os.fstat(file.fileno())
    key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    if not _held or _held[0] != key or _held[2] >= KEPT:
        if _held:
            _, before, _ = _held
            _held.clear()
            before.close()
        _held[:] = [key, pdf.Document(file, name), 0]
    _held[2] += 1
    document: pdf.Document = _held[1]
    return document
