"""Text in images is recognized, with boxes around its words; what has none gives none, in bounded time."""

import numpy as np
import PIL.Image
import pytest

from oneword.engine import ocr
from tests.pictures_with_text import sign

pytest.importorskip("rapidocr")


def test_words_and_their_boxes() -> None:
    image = sign("Total amount", "42 dollars")
    text, words = ocr.read(image)
    assert text == "Total amount\n42 dollars"
    assert [word.text for word in words] == ["Total", "amount", "42", "dollars"]
    total, amount, number, _ = (word.box for word in words)
    assert total[0] < total[2] <= amount[0] + 0.02  # one beside the other
    assert total[3] <= number[1] + 0.05  # one above the other
    dark = np.asarray(image.convert("L")) < 128
    for word in words:
        left, top, right, bottom = np.multiply(word.box, (image.width, image.height) * 2).astype(int)
        assert dark[top:bottom, left:right].any()
        assert 0.5 < word.confidence <= 1


def test_small_and_turned_text() -> None:
    turned = sign("harbor museum", size=12).rotate(3, PIL.Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    assert ocr.read(turned)[0] == "harbor museum"


@pytest.mark.parametrize(
    "image",
    [
        PIL.Image.new("RGB", (1, 1)),
        PIL.Image.new("RGB", (20_000, 9)),
        PIL.Image.new("RGB", (20_000, 12), "white"),
        PIL.Image.new("RGB", (300, 200), "white"),
        PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)),
    ],
    ids=["a pixel", "a line", "a strip", "empty", "noise"],
)
def test_images_without_text(image: PIL.Image.Image) -> None:
    assert ocr.read(image) == ("", ())


def test_huge_images_are_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(ocr, "_recognizer", lambda: lambda pixels: seen.append(pixels.shape))
    for size in ((9000, 6000), (30_000, 40), (40, 30_000), (10, 10)):
        ocr.read(PIL.Image.new("RGB", size))
    assert all(height * width <= 1.01 * ocr.MOST and max(height, width) <= ocr.LONGEST for height, width, _ in seen)
    assert len(seen) == 2  # strips have become too thin
