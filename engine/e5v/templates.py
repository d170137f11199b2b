"""Which chat template a checkpoint's prompts are put into."""

from typing import Any

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.prompted.templates import source, without_start
from oneword.engine.prompted.tokens import LLAMA_3, MISTRAL

_GAP = "{}"


def template_of(checkpoint: Checkpoint, tokenizer: Any, config: Any) -> str:
    """Returns the template, with `{}` where the view's prompt goes.

    That is the one of an `oneword.json`; E5-V's for a decoder with Llama-3's headers; LLaVA-1.6's for Mistral; else
    the checkpoint's own chat template, asked what it makes of a user's message.

    Raises:
        WrongCheckpoint: there is none, or it cannot be used.
    """
    if (stated := checkpoint.template()) is not None:
        return stated
    if "<|start_header_id|>" in tokenizer.get_added_vocab():
        return LLAMA_3
    if config.text_config.model_type == "mistral":
        return MISTRAL
    remedy = (
        f"expected chat_template.jinja with one; or write the template that it was trained with, {{}} for the message, "
        f"""to {checkpoint.folder / "oneword.json"}: {{"template": "USER: {{}} ASSISTANT:"}}"""
    )
    jinja = source(checkpoint, tokenizer)
    if not jinja:
        raise WrongCheckpoint(f"{checkpoint.model}: has no chat template: {remedy}")
    reason = "the message is not in its output"
    # Templates of processors want a list of parts, those of tokenizers a string.
    for content in ([{"type": "text", "text": _GAP}], _GAP):
        try:
            found = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=jinja,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as error:  # a template is a program, and may fail in any way
            reason = f"{type(error).__name__}: {error}"
            continue
        if isinstance(found, str) and found.count(_GAP) == 1:
            return without_start(found, tokenizer)
    raise WrongCheckpoint(f"{checkpoint.model}: its chat template cannot be used ({reason}): {remedy}")
