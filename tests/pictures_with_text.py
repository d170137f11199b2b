"""Images that show text, drawn by Pillow with its own font."""

import PIL.Image
import PIL.ImageDraw


def sign(*lines: str, size: int = 32) -> PIL.Image.Image:
    """White, with lines of black text of so many pixels."""
    image = PIL.Image.new("RGB", (16 * size, 2 * size * max(1, len(lines))), "white")
    draw = PIL.ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((size, 2 * size * row + size // 2), line, fill="black", font_size=size)
    return image
