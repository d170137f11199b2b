"""How many of the words that images show are found by keyword, and how quickly images are read.

    python benchmarks/ocr.py [--images 48]

Words of 12 to 40 pixels in three fonts (DejaVu Sans, STIX, and Pillow's own), each line turned by up to 3 degrees, in
black or white over the photographs that scikit-image and scikit-learn bring. The images go through `oneword index
--ocr`; a word is found if a search for it by keyword has its image among the hits. The last line is JSON.
"""

import random
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import PIL.ImageStat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PHOTOGRAPHS = {
    "skimage.data": "astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg",
    "sklearn.datasets.images": "china.jpg flower.jpg",
}
SIZES = (12, 14, 16, 20, 24, 28, 32, 40)
"""Heights of letters in pixels, as fonts give them; one line of each in every image."""
TURN = 3.0  # degrees at most
WIDTH, HEIGHT = 960, 720
VOCABULARY = """
about account address airport amount answer apple August author autumn balance bank basket before between black bottle
bread bridge brown building butter button camera camping captain castle center change children church city closed
coffee colour concert copper corner country cousin customer dance daughter December delivery desert dinner doctor
dollar double eagle early east electric engine entrance evening exit family farmer February festival field finger
flower forest forward Friday friend garden gate glass gold green grocery guitar half harbor health history holiday
honey hospital hotel hundred invoice island January jacket journey juice July kitchen ladder lemon letter library
light lunch machine market meadow medicine menu metal midnight milk minute mirror Monday money morning mountain museum
music needle north notice November number ocean October office old open orange order oven paper parking passport
pencil people pepper picture pillow planet platform police price prize public quarter quick railway receipt recipe red
report ring river road roof salt Saturday school season second September service shadow shelf silver sister soap south
spring station storm street sugar summer Sunday supper table taxi teacher theater ticket toll tomato total tower train
travel Tuesday twelve umbrella valley village violin voyage warm water weather Wednesday welcome west wheel white window
winter wonder yellow yesterday zebra
""".split()


def fonts(size: int) -> list[PIL.ImageFont.FreeTypeFont]:
    """The three fonts at a size in pixels."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    named = [PIL.ImageFont.truetype(str(folder / name), size) for name in ("DejaVuSans.ttf", "STIXGeneral.ttf")]
    own = PIL.ImageFont.load_default(size)
    assert isinstance(own, PIL.ImageFont.FreeTypeFont)
    return [*named, own]


def photographs() -> list[PIL.Image.Image]:
    """Photographs, each filling one size."""
    found = []
    for package, names in PHOTOGRAPHS.items():
        for name in names.split():
            with PIL.Image.open(str(files(package) / name)) as opened:
                image = opened.convert("RGB")
            scale = max(WIDTH / image.width, HEIGHT / image.height)
            image = image.resize(
                (round(image.width * scale), round(image.height * scale)), PIL.Image.Resampling.LANCZOS
            )
            found.append(image.crop((0, 0, WIDTH, HEIGHT)))
    return found


def written(image: PIL.Image.Image, rng: random.Random) -> tuple[PIL.Image.Image, list[dict[str, Any]]]:
    """The photograph with lines of words over it, and each word with its size and font."""
    image, words = image.copy(), []
    vocabulary = rng.sample(VOCABULARY, 3 * len(SIZES))
    sizes = rng.sample(SIZES, len(SIZES))
    for row, size in enumerate(sizes):
        number = rng.randrange(3)
        line = vocabulary[3 * row : 3 * row + 3]
        mask = turned(" ".join(line), fonts(size)[number], rng.uniform(-TURN, TURN))
        x = rng.randint(10, max(10, WIDTH - mask.width - 10))
        y = row * HEIGHT // len(SIZES) + max(0, HEIGHT // len(SIZES) - mask.height) // 2
        y = min(y, HEIGHT - mask.height)
        behind = image.crop((x, y, x + mask.width, y + mask.height)).convert("L")
        image.paste("black" if PIL.ImageStat.Stat(behind).median[0] > 127 else "white", (x, y), mask)
        words += [{"word": one, "size": size, "font": number} for one in line]
    return image, words


def turned(text: str, font: PIL.ImageFont.FreeTypeFont, degrees: float) -> PIL.Image.Image:
    """The mask of a line of text, turned."""
    left, top, right, bottom = map(int, font.getbbox(text))
    mask = PIL.Image.new("L", (right - left + 4, bottom - top + 4))
    PIL.ImageDraw.Draw(mask).text((2 - left, 2 - top), text, fill=255, font=font)
    return mask.rotate(degrees, PIL.Image.Resampling.BICUBIC, expand=True)


def drawn(count: int) -> Iterator[tuple[PIL.Image.Image, list[dict[str, Any]]]]:
    """So many images with words."""
    rng, behind = random.Random(0), photographs()
    for number in range(count):
        yield written(behind[number % len(behind)], rng)
