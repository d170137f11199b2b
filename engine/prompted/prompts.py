"""Which of a view's prompts an input is put into."""

from oneword.engine.encoder import Side
from oneword.engine.inputs import Composed, Document, Image, Input, Text
from oneword.engine.views import View


def prompted(item: Input, view: View, side: Side) -> tuple[str, str | None, Image | None]:
    """The prompt, text and picture of an input."""
    prompts = view.query if side is Side.QUERY else view.gallery
    match item:
        case Text():
            return prompts.text, item.text, None
        case Image():
            return prompts.image, None, item
        case Document():
            return prompts.document, item.text, item.image
        case Composed():
            return prompts.composed, item.edit, item.image
