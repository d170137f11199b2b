"""Pages of PDFs, by PDFium (pypdfium2, the extra `pdf`): as images, with the text that they hold.

PDFium is not safe from several threads, and a hostile file may crash it: use it in a process of its own.
"""

import contextlib
import ctypes
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

import PIL.Image

from oneword.engine.errors import CorruptImage, LockedFile, NoPages, NotAnImage, TooManyPages

if TYPE_CHECKING:
    import pypdfium2

EXTENSIONS = frozenset({".pdf"})
"""Of PDFs, in lower case."""

INSTALL = "install oneword[pdf]"

PIXELS = 2_000_000
"""Pixels of a page, whatever its size: A4 at 144 dots an inch, small print included. Our own choice."""

FINEST = 300 / 72
"""Most pixels a point, so that a ticket is not blown up: 300 dots an inch, as scanners have by default."""

LONGEST = 10_000
"""Most pixels of a page's longer side: of a strip, whose pixels would otherwise be a line."""

MOST_PAGES = 10_000
"""Most pages of a document; encyclopedias have thousands. Our own choice."""

MOST_SIGNS = 50_000
"""Characters of a page's text that are read: ten times a page of a newspaper. Our own choice."""

MOST_NAME = 200
"""Characters of a title or a page's label."""

HEADER = 1024
"""Bytes within which a PDF's header must begin, as Acrobat has it (PDF Reference 1.7, appendix H.3, note 13)."""

_HYPHEN = 2  # what PDFium makes of one at the end of a line whose word goes on


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word in an image, and its box there: left, top, right, bottom, as shares of width and height."""

    text: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page. pixels: RGB. words: in reading order. facts: `page_label`, where it is not the number, and
    `document_title`."""

    pixels: PIL.Image.Image
    text: str
    words: tuple[Word, ...]
    facts: Mapping[str, str]


def installed() -> bool:
    """Whether PDFs can be read, without importing what reads them."""
    return find_spec("pypdfium2") is not None


def is_pdf(head: bytes) -> bool:
    """Whether a file is a PDF. head: its first `HEADER` bytes."""
    return b"%PDF-" in head


class Document:
    """An open PDF. It is mapped into memory, not read: only what its pages use is.

    Raises:
        NotAnImage: the extra is not installed.
        LockedFile, CorruptImage: it cannot be opened.
        NoPages, TooManyPages
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """name: of the file, in errors."""
        try:
            import pypdfium2
        except ImportError:
            raise NotAnImage(f"{name}: is a PDF; to read its pages, {INSTALL}") from None
        # Private to this process, and writable only because ctypes asks for that.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        try:
            self._pdf: pypdfium2.PdfDocument = pypdfium2.PdfDocument((ctypes.c_char * len(data)).from_buffer(data))
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise LockedFile(f"{name}: the PDF asks for a password; save it without one") from None
            raise CorruptImage(
                f"{name}: the PDF cannot be opened ({_reason(error)}); save or print it to a new PDF"
            ) from None
        with contextlib.suppress(pypdfium2.PdfiumError):  # without what was filled in
            self._pdf.init_forms()
        self.pages = len(self._pdf)
        if self.pages < 1:
            raise NoPages(f"{name}: the PDF has no pages: expected at least one; is it complete?")
        if self.pages > MOST_PAGES:
            raise TooManyPages(
                f"{name}: the PDF has {self.pages:,} pages: expected at most {MOST_PAGES:,}; split it into several"
            )

    def close(self) -> None:
        """Frees its memory; no page may be read any more."""
        self._pdf.close()

    @cached_property
    def title(self) -> str:
        """As the file has it; "" for none."""
        return _line(self._pdf.get_metadata_value("Title"))

    def page(self, number: int, name: str) -> Page:
        """Renders a page, counted from 1, on white, with its annotations and what was filled into its form.

        Raises:
            CorruptImage: there is no such page, or it cannot be rendered.
        """
        import pypdfium2

        if not 1 <= number <= self.pages:
            raise CorruptImage(f"{name}: there is no page {number}, only {self.pages}; index the file again")
        try:
            page = self._pdf[number - 1]
        except pypdfium2.PdfiumError as error:
            raise CorruptImage(
                f"{name}: the page cannot be read ({_reason(error)}); save or print it to a new PDF"
            ) from None
        with contextlib.closing(page):
            width, height = page.get_size()
            if not (0 < width < math.inf and 0 < height < math.inf):
                raise CorruptImage(f"{name}: the page is {width:g}x{height:g} points: expected a size above zero")
            # One factor at a time: a product of two sizes may be beyond what a float holds.
            scale = min(math.sqrt(PIXELS / width / height), FINEST, LONGEST / max(width, height))
            with contextlib.closing(page.render(scale=scale, rev_byteorder=True)) as bitmap:
                pixels = bitmap.to_pil().convert("RGB").copy()
            words = list(_words(page, width, height))
        label = _line(self._pdf.get_page_label(number - 1))
        facts = {"page_label": label if label != str(number) else "", "document_title": self.title}
        return Page(
            pixels=pixels,
            text=" ".join(word.text for word in words),
            words=tuple(words),
            facts={name: value for name, value in facts.items() if value},
        )


def _words(page: "pypdfium2.PdfPage", width: float, height: float) -> Iterator[Word]:
    """The words of a page's text layer; none where that cannot be read."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        layer = page.get_textpage()
        count = min(layer.count_chars(), MOST_SIGNS)
    except pypdfium2.PdfiumError:
        return
    left, bottom, right, top = (ctypes.c_double() for _ in range(4))
    corner = _corner(page)
    signs: list[str] = []
    box: tuple[float, ...] | None = None
    joined = False
    with contextlib.closing(layer):
        for index in range(count + 1):
            code = raw.FPDFText_GetUnicode(layer, index) if index < count else 0
            if code == _HYPHEN:
                joined = True
                continue
            sign = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else " "
            if not sign.isspace() and sign.isprintable():
                joined = False
                signs.append(sign)
                if raw.FPDFText_GetCharBox(layer, index, left, right, bottom, top):
                    own = (left.value, bottom.value, right.value, top.value)
                    box = own if box is None else (*map(min, box[:2], own[:2]), *map(max, box[2:], own[2:]))
            elif signs and not (joined and index < count):
                if box is not None:
                    yield Word(text="".join(signs), box=_shares(page, box, corner, width, height))
                signs, box = [], None


def _corner(page: "pypdfium2.PdfPage") -> tuple[float, float]:
    """The lower left corner of what is shown of a page, in its own coordinates."""
    left, bottom, _, _ = page.get_bbox()
    return left, bottom


def _shares(
    page: Any, box: tuple[float, ...], corner: tuple[float, float], width: float, height: float
) -> tuple[float, float, float, float]:
    """A box in points, as shares of the page as it is shown, turned by its rotation."""
    turn = page.get_rotation()
    across, up = (width, height) if turn in (0, 180) else (height, width)  # before it is turned
    x0, y0, x1, y1 = ((value - corner[at % 2]) / (across, up)[at % 2] for at, value in enumerate(box))
    left, top, right, bottom = {
        0: (x0, 1 - y1, x1, 1 - y0),
        90: (y0, x0, y1, x1),
        180: (1 - x1, y0, 1 - x0, y1),
        270: (1 - y1, 1 - x1, 1 - y0, 1 - x0),
    }[turn]
    return tuple(round(min(1.0, max(0.0, one)), 4) for one in (left, top, right, bottom))  # type: ignore[return-value]


def _reason(error: Exception) -> str:
    """PDFium's own words, in pypdfium2's brackets."""
    return str(error).rpartition("PDFium: ")[2].rstrip(".)").lower()


def _line(text: str) -> str:
    """A text on one line, without what cannot be shown."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * MOST_NAME])
    return " ".join(shown.split())[:MOST_NAME].strip()
