"""A checkpoint's own chat template: a view's prompt to a whole conversation of one message."""

import re
from collections.abc import Callable
from typing import Any

from oneword.engine.checkpoint import Checkpoint, read_json
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.views import DEFAULT, IMAGE, SENTENCE


def chat(checkpoint: Checkpoint, tokenizer: Any, image_token: str) -> Callable[[str], str]:
    """Returns what puts a view's prompt into the chat template, images where `<image>` is.

    Args:
        image_token: what the template writes for an image.

    Raises:
        WrongCheckpoint: there is no template, or it cannot be used.
    """
    template = source(checkpoint, tokenizer)

    def render(prompt: str) -> str:
        content = [
            {"type": "image"} if part == IMAGE else {"type": "text", "text": part}
            for part in re.split(f"({IMAGE})", prompt)
            if part
        ]
        whole: str = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], chat_template=template, tokenize=False, add_generation_prompt=True
        )
        return without_start(whole, tokenizer)

    if not template:
        raise WrongCheckpoint(
            f"{checkpoint.model}: has no chat template: expected chat_template.jinja with one, as models that follow "
            "instructions have"
        )
    for prompt in (DEFAULT.query.text, DEFAULT.query.composed):
        marks = ((SENTENCE, prompt.count(SENTENCE)), (image_token, prompt.count(IMAGE)))
        try:
            whole = render(prompt)
            wrong = [f"{mark} {whole.count(mark)} times" for mark, count in marks if whole.count(mark) != count]
        except Exception as error:  # a template is a program, and may fail in any way
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            raise WrongCheckpoint(
                f"{checkpoint.model}: its chat template cannot be used ({', '.join(wrong)}): expected one that takes a "
                "user's message of an image and a text"
            )
    return render


def source(checkpoint: Checkpoint, tokenizer: Any) -> str | None:
    """Returns the template as Jinja: the processor's, which knows of images, before the tokenizer's."""
    for name in ("chat_template.json", "processor_config.json"):
        path = checkpoint.folder / name
        found = read_json(path, checkpoint.model).get("chat_template") if path.is_file() else None
        if isinstance(found, str) and found:
            return found
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return found if isinstance(found, str) else None


def without_start(template: str, tokenizer: Any) -> str:
    """Without the token for the start of a text where the tokenizer puts it there itself: once is enough."""
    start = tokenizer.bos_token
    if start and template.startswith(start) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:
        return template.removeprefix(start)
    return template
