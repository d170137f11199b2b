"""Pages of PDFs: pixels, words and their boxes, and what cannot be read."""

import io
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oneword.engine import pdf
from oneword.engine.errors import CorruptImage, LockedFile, TooManyPages
from tests import papers

pytest.importorskip("pypdfium2")


@pytest.fixture
def opened() -> Any:
    """Opens PDFs, and closes them after the test."""
    documents: list[pdf.Document] = []
    with tempfile.TemporaryFile() as file:

        def opens(data: bytes) -> pdf.Document:
            file.seek(0)
            file.truncate()
            file.write(data)
            file.flush()
            documents.append(pdf.Document(file, "a.pdf"))
            return documents[-1]

        yield opens
        for document in documents:
            document.close()


Opened = Callable[[bytes], pdf.Document]


def test_a_page_is_rendered_with_its_text(opened: Opened) -> None:
    document = opened(papers.pdf("the zebra\nof page one", "", info="/Title (Zebras\t)"))
    assert document.pages == 2
    page = document.page(1, "a.pdf")
    assert (page.pixels.mode, page.pixels.size) == ("RGB", (1225, 1633))
    assert page.text == "the zebra of page one"
    assert page.facts == {"document_title": "Zebras"}
    assert np.asarray(page.pixels).min() < 100, "the words are drawn"
    empty = document.page(2, "a.pdf")
    assert (empty.text, empty.words) == ("", ())
    assert np.asarray(empty.pixels).min() == 255


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_boxes_are_where_the_words_are_drawn(opened: Opened, rotate: int) -> None:
    page = opened(papers.pdf("zebra", rotate=rotate)).page(1, "a.pdf")
    (word,) = page.words
    dark = np.asarray(page.pixels.convert("L")) < 128
    rows, columns = np.nonzero(dark)
    height, width = dark.shape
    drawn = (columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height)
    assert word.text == "zebra"
    assert word.box == pytest.approx(drawn, abs=0.01)


def test_a_word_that_goes_on_in_the_next_line(opened: Opened) -> None:
    assert opened(papers.pdf("a zebra-\nfinch")).page(1, "a").text == "a zebrafinch"


def test_labels(opened: Opened) -> None:
    document = opened(papers.pdf("a", "b", extra="/PageLabels << /Nums [0 << /S /r >> 1 << /S /D /St 2 >>] >>"))
    assert [document.page(number, "a").facts for number in (1, 2)] == [{"page_label": "i"}, {}]


@pytest.mark.parametrize(
    ("points", "pixels"),
    [
        ((14_400, 14_400), (1415, 1415)),
        ((14_400, 1), (10_000, 1)),
        ((100, 50), (417, 209)),
        ((0.01, 0.01), (1, 1)),
        ((1e9, 1e9), (1415, 1415)),
        ((1e30, 1), (1244, 1609)),  # PDFium takes it for a letter
        ((0, 0), (1244, 1609)),
    ],
)
def test_pages_of_any_size_have_so_many_pixels(
    opened: Opened, points: tuple[float, float], pixels: tuple[int, int]
) -> None:
    assert opened(papers.pdf("zebra", sizes=[points])).page(1, "a.pdf").pixels.size == pixels


def test_what_was_filled_into_a_form_is_drawn(opened: Opened) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2")
    document = opened(papers.form("zebra"))
    assert document._pdf.get_formtype() == pypdfium2.raw.FORMTYPE_ACRO_FORM
    assert np.asarray(document.page(1, "a.pdf").pixels).min() < 100


def test_encrypted(opened: Opened) -> None:
    with pytest.raises(LockedFile, match=r"a\.pdf: the PDF asks for a password; save it without one"):
        opened(papers.locked())


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"%PDF-1.7\n" + b"garbage" * 999, papers.pdf(), papers.pdf("a")[:300]])
def test_damaged(opened: Opened, data: bytes) -> None:
    with pytest.raises(CorruptImage, match=r"a\.pdf: the PDF cannot be opened \(data format error\); save or print"):
        opened(data)


def test_more_pages_than_are_read(opened: Opened) -> None:
    catalog, font = "<< /Type /Catalog /Pages 2 0 R >>", "<< >>"
    kids = " ".join(["4 0 R"] * 100_000)  # a page that comes a hundred thousand times
    pages = f"<< /Type /Pages /Kids [{kids}] /Count 100000 >>"
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] >>"
    with pytest.raises(TooManyPages, match="has 100,000 pages: expected at most 10,000; split it"):
        opened(papers.assembled([catalog, pages, font, page]))


def test_a_page_that_is_not_there(opened: Opened) -> None:
    document = opened(papers.pdf("a"))
    with pytest.raises(CorruptImage, match="there is no page 2, only 1"):
        document.page(2, "a.pdf")


def test_words_are_cut_off_somewhere(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MOST_SIGNS", 7)
    assert opened(papers.pdf("the zebra runs")).page(1, "a").text == "the zeb"


def test_a_header_may_stand_behind_something_else() -> None:
    assert pdf.is_pdf(b"x" * 900 + b"%PDF-1.4")
    assert not pdf.is_pdf(io.BytesIO(b"\xff\xd8").read())
