"""Captions as pictures, for image-to-image retrieval."""

import textwrap
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from oneword.engine.evaluation.errors import BadData

# Arial 40 px on white, 800 x 400, wrapped, 20 px margin, vertically centred: arXiv 2407.12580 and kongds/E5-V.
SIZE = (800, 400)
MARGIN = 20
FONT_SIZE = 40


def load_font(path: Path | None) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    """A TrueType font; None is Pillow's own, which is not the paper's Arial. Raises BadData."""
    if path is None:
        return PIL.ImageFont.load_default(FONT_SIZE)
    try:
        return PIL.ImageFont.truetype(str(path), FONT_SIZE)
    except OSError as error:
        raise BadData(f"font {path}: cannot be loaded ({error}): expected a .ttf file, such as Arial's") from error


def render(text: str, font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont) -> PIL.Image.Image:
    """The text as an RGB picture; what does not fit in its height is cut off at the bottom."""
    picture = PIL.Image.new("RGB", SIZE, "white")
    draw = PIL.ImageDraw.Draw(picture)
    said = "\n".join(_lines(text, font, SIZE[0] - 2 * MARGIN))
    left, top, _, bottom = draw.multiline_textbbox((0, 0), said, font=font)
    y = max(MARGIN, (SIZE[1] - (bottom - top)) / 2)
    draw.multiline_text((MARGIN - left, y - top), said, fill="black", font=font)
    return picture


def _lines(text: str, font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont, width: int) -> list[str]:
    """Words in lines that are as full as they can be; a word longer than a line is broken."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        fitting = max(1, int(len(word) * width / max(font.getlength(word), 1)))
        *full, line = textwrap.wrap(word, fitting) or [""]
        lines += full
    return [*lines, line]
