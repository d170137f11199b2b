"""Captions as pictures: every pixel, with a font whose letters are rectangles."""

from pathlib import Path

import numpy as np
import PIL.ImageFont
import pytest
from numpy.typing import NDArray

from oneword.engine.evaluation.files import BadData
from oneword.engine.evaluation.rendering import load_font, render

# Rows of ink, from the line's top, which is 30 px above the baseline. All are 20 px wide, without gaps.
LETTERS = {"x": (10, 30), "l": (0, 30), "g": (10, 40), "o": (9, 30), "'": (0, 10), " ": (29, 30)}


@pytest.fixture
def font(tmp_path: Path) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    """A BDF font, which FreeType reads like any other; its space is blank, and one pixel high."""
    glyphs = [
        f"STARTCHAR c{ord(letter)}\nENCODING {ord(letter)}\nSWIDTH 500 0\nDWIDTH 20 0\n"
        f"BBX 20 {bottom - top} 0 {30 - bottom}\nBITMAP\n"
        + ("000000\n" if letter == " " else "FFFFF0\n") * (bottom - top)
        + "ENDCHAR\n"
        for letter, (top, bottom) in LETTERS.items()
    ]
    head = (
        "STARTFONT 2.1\nFONT -x-x-Medium-R-Normal--40-400-72-72-C-200-ISO10646-1\nSIZE 40 72 72\n"
        "FONTBOUNDINGBOX 20 40 0 -10\nSTARTPROPERTIES 4\nPIXEL_SIZE 40\nFONT_ASCENT 30\nFONT_DESCENT 10\n"
        f"DEFAULT_CHAR 32\nENDPROPERTIES\nCHARS {len(glyphs)}\n"
    )
    (tmp_path / "boxes.bdf").write_text(head + "".join(glyphs) + "ENDFONT\n", encoding="ascii")
    return load_font(tmp_path / "boxes.bdf")


def ink(text: str, font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont) -> NDArray[np.bool_]:
    """Which pixels are black; the others are white."""
    pixels = np.asarray(render(text, font))
    assert pixels.shape == (400, 800, 3)
    assert set(np.unique(pixels).tolist()) <= {0, 255}
    return (pixels == 0).all(2)


def test_three_lines(font: PIL.ImageFont.FreeTypeFont) -> None:
    """760 px take 38 letters.

    Line 1: 20 x, a space, 17 g: 38 letters, just fits. Ink from 10 (x, g) to 40 (g): 30 px high.
    Line 2: 5 l, for the next word would make it 44 letters. Ink from 0 to 30: 30 px high.
    Line 3: 38 x. Ink from 10 to 30: 20 px high.
    Together 80 px, so line 1 is drawn at (400 - 80) / 2 = 160, line 2 at 190, line 3 at 220.
    """
    expected = np.zeros((400, 800), bool)
    expected[170:190, 20:420] = True  # line 1: x
    expected[170:200, 440:780] = True  # line 1: g
    expected[190:220, 20:120] = True  # line 2 touches the g above it
    expected[230:250, 20:780] = True  # line 3
    assert (ink(" ".join(["x" * 20, "g" * 17, "l" * 5, "x" * 38]), font) == expected).all()


def test_an_odd_height_is_rounded_down(font: PIL.ImageFont.FreeTypeFont) -> None:
    """21 px are drawn at 379 / 2, rounded to 189; the ink begins 9 px lower."""
    rows = np.flatnonzero(ink("o", font).any(1))
    assert (rows[0], rows[-1]) == (198, 218)


def test_the_space_at_a_lines_end_counts(font: PIL.ImageFont.FreeTypeFont) -> None:
    """The apostrophe's ink is 10 px high, with the space down at the baseline 30: drawn at (400 - 30) / 2 = 185."""
    rows = np.flatnonzero(ink("'", font).any(1))
    assert (rows[0], rows[-1]) == (185, 194)


def test_what_is_too_high_is_cut_above_and_below(font: PIL.ImageFont.FreeTypeFont) -> None:
    """16 lines of 30 px, drawn from (400 - 480) / 2 = -40 on, without gaps."""
    assert ink(" ".join(["l" * 38] * 16), font)[:, 20:780].all()


def test_a_word_that_is_longer_than_a_line_is_broken(font: PIL.ImageFont.FreeTypeFont) -> None:
    """38 and 2 letters, then room for more: two lines of 20 px, drawn at 180 and 200."""
    expected = np.zeros((400, 800), bool)
    expected[190:210, 20:780] = True
    expected[210:230, 20:60] = expected[210:230, 80:100] = True
    assert (ink("x" * 40 + " x", font) == expected).all()


def test_fonts() -> None:
    assert render("a long caption " * 12 + "w" * 90, load_font(None)).getbbox() is not None
    with pytest.raises(BadData, match="font"):
        load_font(Path("none.ttf"))
