"""Draws scenes."""

import math

import PIL.Image
import PIL.ImageDraw

from research.miniature.scenes import Scene, Thing

SIDE = 64  # pixels
_SUPERSAMPLING = 2
_RGB = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (45, 80, 225),
    "yellow": (240, 215, 40),
    "purple": (150, 50, 190),
    "orange": (245, 140, 25),
    "pink": (250, 150, 190),
    "cyan": (60, 210, 220),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "gray": (125, 125, 125),
    "brown": (105, 70, 40),
    "navy": (20, 30, 90),
}
_RADIUS = {"small": 6.2, "large": 9.8}  # in pixels
_PERIOD = 8  # of textures, in supersampled pixels
_DARK = 0.4  # brightness of a texture's dark parts

Points = list[tuple[float, float]]


def render(scene: Scene) -> PIL.Image.Image:
    """An RGB picture of 64 x 64 pixels, the same for the same scene."""
    side = SIDE * _SUPERSAMPLING
    red, green, blue = (max(0, min(255, value + scene.shade)) for value in _RGB[scene.background])
    picture = PIL.Image.new("RGB", (side, side), (red, green, blue))
    for thing in scene.things:
        picture.paste(_fill(thing, side), (0, 0), _mask(thing, side))
    return picture.reduce(_SUPERSAMPLING)


def centre(thing: Thing) -> tuple[float, float]:
    """(x, y) in pixels."""
    row, column = thing.cell
    return (SIDE / 6 * (2 * column + 1) + thing.shift[0], SIDE / 6 * (2 * row + 1) + thing.shift[1])


def _fill(thing: Thing, side: int) -> PIL.Image.Image:
    red, green, blue = _RGB[thing.colour]
    fill = PIL.Image.new("RGB", (side, side), (red, green, blue))
    dark = (int(red * _DARK), int(green * _DARK), int(blue * _DARK))
    draw, half = PIL.ImageDraw.Draw(fill), _PERIOD // 2
    steps = range(0, side, _PERIOD)
    match thing.texture:
        case "striped":
            for x in steps:
                draw.rectangle((x, 0, x + half - 1, side), fill=dark)
        case "dotted":
            for x in steps:
                for y in steps:
                    draw.ellipse((x + 1, y + 1, x + half + 1, y + half + 1), fill=dark)
        case "checked":
            for x in steps:
                for y in steps:
                    draw.rectangle((x, y, x + half - 1, y + half - 1), fill=dark)
                    draw.rectangle((x + half, y + half, x + _PERIOD - 1, y + _PERIOD - 1), fill=dark)
    return fill


def _mask(thing: Thing, side: int) -> PIL.Image.Image:
    x, y = (value * _SUPERSAMPLING for value in centre(thing))
    radius = _RADIUS[thing.size] * thing.stretch * _SUPERSAMPLING
    mask = PIL.Image.new("L", (side, side), 0)
    draw = PIL.ImageDraw.Draw(mask)
    if thing.shape in ("circle", "ring"):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        if thing.shape == "ring":
            hole = 0.45 * radius
            draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    else:
        angle = math.radians(thing.turn)
        sine, cosine = math.sin(angle), math.cos(angle)
        outline = [(a * radius, b * radius) for a, b in _OUTLINES[thing.shape]]
        draw.polygon([(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in outline], fill=255)
    return mask


def _star() -> Points:
    corners = [(1.1 if i % 2 == 0 else 0.45, i * math.pi / 5) for i in range(10)]
    return [(reach * math.sin(turn), -reach * math.cos(turn)) for reach, turn in corners]


def _heart() -> Points:
    turns = [i * math.pi / 16 for i in range(32)]
    return [
        (
            1.05 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 15,
        )
        for t in turns
    ]


def _cross() -> Points:
    arm = 0.32
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    points: Points = []
    for _ in range(4):
        points += quarter
        quarter = [(-b, a) for a, b in quarter]
    return points


_OUTLINES: dict[str, Points] = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1), (0.95, 0.8), (-0.95, 0.8)],
    "diamond": [(0, -1.05), (0.65, 0), (0, 1.05), (-0.65, 0)],
    "star": _star(),
    "cross": _cross(),
    "heart": _heart(),
}
