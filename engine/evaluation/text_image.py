"""Text to image and image to text, with captions as text, or rendered as images."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from oneword.engine.encoder import Side
from oneword.engine.evaluation import paper
from oneword.engine.evaluation.captioned import Captioned
from oneword.engine.evaluation.ranking import best_ranks, recalls
from oneword.engine.evaluation.rendering import load_font, render
from oneword.engine.evaluation.report import Report
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.inputs import Image, Input, Text
from oneword.engine.views import DEFAULT

AT = (1, 5, 10)


def text_image(data: Captioned, where: str, vectors: VectorCache) -> Report:
    """Recall at 1, 5 and 10 both ways; an image's captions are all right answers, the nearest one counts."""
    texts = [partial(Text, text=caption) for captions in data.captions for caption in captions]
    known = {"flickr30k": paper.FLICKR, "coco": paper.COCO}.get(data.name, {})
    return _report("text-image", data, where, vectors, texts, "text", known, ())


def image_image(data: Captioned, where: str, vectors: VectorCache, font: Path | None = None) -> Report:
    """The same with each caption rendered as an image."""
    letters = load_font(font)

    def rendered(caption: str) -> Image:
        return Image(pixels=render(caption, letters))

    images = [partial(rendered, caption) for captions in data.captions for caption in captions]
    known = {"flickr30k": paper.FLICKR_RENDERED, "coco": paper.COCO_RENDERED}.get(data.name, {})
    notes = () if font else ("captions are rendered in Pillow's own font: the paper's is Arial (--font)",)
    return _report("image-image", data, where, vectors, images, "rendered text", known, notes)


def _report(
    task: str,
    data: Captioned,
    where: str,
    vectors: VectorCache,
    texts: Sequence[Callable[[], Input]],
    text: str,
    known: dict[str, float],
    notes: tuple[str, ...],
) -> Report:
    owners = [i for i, captions in enumerate(data.captions) for _ in captions]
    of_image: list[list[int]] = [[] for _ in data.captions]
    for position, owner in enumerate(owners):
        of_image[owner].append(position)
    images = vectors.both_sides(data.images, DEFAULT)
    captions = vectors.both_sides(texts, DEFAULT)
    ranks = best_ranks(captions[Side.QUERY], images[Side.GALLERY], [[owner] for owner in owners])
    metrics = recalls(ranks, AT, f"{text} to image R@{{}}")
    ranks = best_ranks(images[Side.QUERY], captions[Side.GALLERY], of_image)
    metrics |= recalls(ranks, AT, f"image to {text} R@{{}}")
    return Report.of(
        vectors,
        [DEFAULT],
        task=task,
        data=where,
        counts={"images": len(data.images), "captions": len(owners)},
        metrics=metrics,
        paper=known,
        notes=(*notes, *([] if data.whole else ["not the whole test split, which the paper's figures are of"])),
    )
