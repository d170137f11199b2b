"""Which of a view's prompts an input is put into."""

import re

from oneword.engine.encoder import Side
from oneword.engine.inputs import Composed, Document, Image, Input, Interleaved, Text, images_of, texts_of
from oneword.engine.views import SENTENCE, Prompts, View

_IMAGE = r"(?:<\|[^|<>]+\|>)*<image>(?:<\|[^|<>]+\|>)*"
"""An image in a prompt, with the special tokens that enclose it."""
_BOTH = re.compile(f"(?P<first>{_IMAGE}|{SENTENCE})(?P<between>.*)(?P<second>{_IMAGE}|{SENTENCE})", re.DOTALL)


def prompted(item: Input, view: View, side: Side) -> tuple[str, tuple[str, ...], tuple[Image, ...]]:
    """The prompt, and the texts and the images of an input, each in their order."""
    prompts = view.query if side is Side.QUERY else view.gallery
    return _prompt(item, prompts), texts_of(item), images_of(item)


def _prompt(item: Input, prompts: Prompts) -> str:
    match item:
        case Text():
            return prompts.text
        case Image():
            return prompts.image
        case Document():
            return prompts.document
        case Composed():
            return prompts.composed
        case Interleaved(pieces=pieces):
            return _interleaved(prompts, [isinstance(one, str) for one in pieces])


def _interleaved(prompts: Prompts, texts: list[bool]) -> str:
    """The prompt of documents with more images and texts in it; or that of edits, where it is of the same form.

    So an image and one text have the prompt of a document, and what stands between them there stands between all.

    Args:
        texts: of each piece, whether it is a text.
    """
    document, composed = _BOTH.search(prompts.document), _BOTH.search(prompts.composed)
    assert document is not None, "a view's prompt of documents has both"
    assert composed is not None, "a view's prompt of edits has both"
    form = composed if composed["between"] == document["between"] else document
    image = form["second"] if form["first"] == SENTENCE else form["first"]
    content = form["between"].join(SENTENCE if is_text else image for is_text in texts)
    return form.string[: form.start()] + content + form.string[form.end() :]
