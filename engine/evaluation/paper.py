"""E5-V's own figures, in percent, from arXiv 2407.12580: its tables on text-image, composed, image-image and STS."""

from collections.abc import Sequence

AS_PUBLISHED = "as-published"
"""The preprocessing of images that the figures were measured with, as `EngineConfig.preprocessing` names it."""


def images_note(preprocessing: str) -> str:
    """What is to be known before figures of images are compared with the paper's."""
    measured = "the paper's figures were measured with transformers 4.41.2, which put tiles together wrongly unless"
    if preprocessing == AS_PUBLISHED:
        return f"{measured} their grid is square; so were these"
    right = f"these are put together rightly, and comparable with --preprocessing {AS_PUBLISHED}"
    return f"{measured} their grid is square; {right}"


def _recalls(text: str, to_image: Sequence[float], from_image: Sequence[float]) -> dict[str, float]:
    """Recall at 1, 5 and 10 both ways."""
    ways = ((f"{text} to image", to_image), (f"image to {text}", from_image))
    return {f"{way} R@{k}": value for way, row in ways for k, value in zip((1, 5, 10), row, strict=True)}


FLICKR = _recalls("text", (79.5, 95.0, 97.6), (88.2, 98.7, 99.4))
COCO = _recalls("text", (52.0, 76.5, 84.7), (62.0, 83.6, 89.7))
FLICKR_RENDERED = _recalls("rendered text", (67.8, 89.2, 93.6), (79.5, 95.2, 97.8))
COCO_RENDERED = _recalls("rendered text", (41.2, 66.7, 76.2), (51.6, 76.8, 84.9))
CIRR_TEST = {"R@1": 33.90, "R@5": 64.12, "R@10": 75.88, "R@50": 93.54}
"""Of the test split, whose targets are not published; validation figures are close."""
FASHIONIQ = {"average R@10": 31.80, "average R@50": 53.78}
STS = {"average": 86.00}
