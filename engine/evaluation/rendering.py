"""Captions as images, for image-to-image retrieval."""

import textwrap
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from oneword.engine.evaluation.files import BadData

# Black Arial of 40 px on white, 800 x 400, 20 px at the left and right: kongds/E5-V:retrieval.py `create_text_image`.
SIZE = (800, 400)
MARGIN = 20
FONT_SIZE = 40

Font = PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont


def load_font(path: Path | None) -> Font:
    """A TrueType font; None is Pillow's own, which is not the paper's Arial. Raises BadData."""
    if path is None:
        return PIL.ImageFont.load_default(FONT_SIZE)
    try:
        return PIL.ImageFont.truetype(str(path), FONT_SIZE)
    except OSError as error:
        raise BadData(f"font {path}: cannot be loaded ({error}): expected a .ttf file, such as Arial's") from error


def render(text: str, font: Font) -> PIL.Image.Image:
    """The text as an RGB image, pixel by pixel as the reference renders it with the same font.

    A line is drawn as far below the one before as that one's ink is high, so lines are uneven and may touch. The sum of
    these heights is centered; but letters hang below the point where they are drawn, so their ink is lower than that.
    """
    image = PIL.Image.new("RGB", SIZE, "white")
    draw = PIL.ImageDraw.Draw(image)
    lines = _lines(text, font, SIZE[0] - 2 * MARGIN)
    boxes = [font.getbbox(line) for line in lines]
    heights = [bottom - top for _, top, _, bottom in boxes]
    y = (SIZE[1] - sum(heights)) // 2
    for line, height in zip(lines, heights, strict=True):
        draw.text((MARGIN, y), line, fill="black", font=font)
        y += height
    return image


def _lines(text: str, font: Font, width: int) -> list[str]:
    """Words in lines that are as full as they can be, each followed by a space, which reaches down to the baseline.

    A word that is longer than a line is broken. (The reference would never finish.)
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        if font.getlength(line + word) <= width:
            line += f"{word} "
            continue
        if line:
            lines.append(line)
        fitting = max(1, int(len(word) * width / max(font.getlength(word), 1)))
        *full, line = (f"{piece} " for piece in textwrap.wrap(word, fitting))
        lines += full
    return [*lines, line]
