"""Text that images show, by RapidOCR (the extra `ocr`), whose models lie in its package: nothing is downloaded.

On a CPU, with one thread a process: it runs in the processes that decode images.
"""

import math
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import PIL.Image

from oneword.engine.dependencies import require
from oneword.engine.pdf import Word

# benchmarks/ocr.py: of images of 0.7 million pixels that are enlarged to one million, 95.3 % of the words are found; to
# 1.5 million, 96.1 % in half as much time again. A screen of 1920 x 1080 keeps its size.
LEAST, MOST = 2**20, 2**21
"""Pixels to which an image is enlarged, at most twofold, and to which it is reduced."""

LONGEST = 4096
"""Most pixels of the longer side, to which an image is reduced: RapidOCR pads a strip to an eighth of its length."""

SMALLEST = 10
"""Pixels of a side under which there is no text to read."""

# Lower thresholds of the detector than RapidOCR's own (0.3 and 0.5) find 1 % more words over photographs. At its own
# 0.9 for turning a line upside down, one line in 100 was turned that was not to be.
SETTINGS = {
    "Global.log_level": "critical",
    "Global.max_side_len": 4 * LONGEST,
    "Global.return_word_box": True,
    "Det.limit_side_len": 32,
    "Det.thresh": 0.2,
    "Det.box_thresh": 0.4,
    "Cls.cls_thresh": 0.99,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}

_mutex = threading.Lock()


def check() -> None:
    """Raises `MissingDependency` where the extra is not installed."""
    require("rapidocr", "onnxruntime", what="text in images", extra="ocr")


def read(image: PIL.Image.Image) -> tuple[str, tuple[Word, ...]]:
    """Returns the text that an RGB image shows, a line each, and its words in the same order; "" for none.

    Raises:
        MissingDependency
        Exception: RapidOCR or ONNX Runtime fails.
    """
    if min(image.size) < SMALLEST:
        return "", ()
    pixels = image.width * image.height
    scale = min(max(1.0, min(2.0, math.sqrt(LEAST / pixels))), math.sqrt(MOST / pixels), LONGEST / max(image.size))
    if scale != 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    if min(image.size) < SMALLEST:
        return "", ()
    with _mutex:
        found = _recognizer()(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))  # it takes BGR, as OpenCV does
    lines = list(getattr(found, "txts", None) or ())
    return "\n".join(lines), tuple(_words(found, lines, image.size))


@cache
def _recognizer() -> Any:
    check()
    from rapidocr import RapidOCR

    return RapidOCR(params=SETTINGS)


def _words(found: Any, lines: list[str], size: tuple[int, int]) -> Iterator[Word]:
    """The words of each line; the whole line where its words have no boxes."""
    parts = found.word_results if lines else ()
    if len(parts) != len(lines):
        parts = [()] * len(lines)
    for line, score, corners, words in zip(lines, found.scores, found.boxes, parts, strict=True) if lines else ():
        placed = [one for one in words if one and len(one) == 3 and one[2] is not None]
        for text, confidence, box in placed or [(line, score, corners)]:
            yield Word(text=text, box=_box(box, size), confidence=round(float(confidence), 3))


def _box(corners: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """What surrounds a quadrilateral: left, top, right, bottom, as shares of width and height."""
    points = np.clip(np.asarray(corners, np.float64) / size, 0, 1)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return round(float(left), 4), round(float(top), 4), round(float(right), 4), round(float(bottom), 4)
