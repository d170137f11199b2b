"""A user's text to token ids, whatever special tokens it spells."""

import json
from typing import Any

from tokenizers import Tokenizer

UNREACHABLE = "\U0010ffff"
"""Begins pieces that no text shall be cut into: a noncharacter, which stands in no text."""


def plain(backend: str, at_start: bool, *, all_added: bool = True) -> Tokenizer:
    """A copy of a tokeniser that knows no added tokens, adds none, and neither cuts nor pads.

    Args:
        backend: the tokeniser's JSON.
        at_start: for the prompt's beginning; else for what follows an added token.
        all_added: else only special ones are unknown to it, and Gemma's runs of blanks and line ends stay.
    """
    settings = json.loads(backend)
    added = {token["content"] for token in settings["added_tokens"] if all_added or token["special"]}
    settings |= {"truncation": None, "padding": None, "post_processor": None}
    if all_added:
        settings["added_tokens"] = []
    model = settings["model"]
    if model["type"] == "BPE" and all_added:
        # Some vocabularies list special tokens once more; with `ignore_merges` a text could still reach them.
        merged = {"".join(pair if isinstance(pair, list) else pair.split(" ", 1)) for pair in model["merges"]}
        keep = merged | {model.get("unk_token")}
        model["vocab"] = {token: id_ for token, id_ in model["vocab"].items() if token not in added or token in keep}
    elif model["type"] == "Unigram":
        # Special tokens are pieces too, which a text would reach.
        model["vocab"] = [[UNREACHABLE + piece if piece in added else piece, score] for piece, score in model["vocab"]]
    if not at_start:
        _no_prefix(settings["pre_tokenizer"])
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.encode_special_tokens = True  # of those that are left, special ones are read as plain characters
    return tokenizer


def _no_prefix(step: dict[str, Any] | None) -> None:
    """SentencePiece-like tokenisers may put a space before the text's very beginning, and only there."""
    if step is None:
        return
    for inner in step.get("pretokenizers", ()):
        _no_prefix(inner)
    if step.get("prepend_scheme") == "first":
        step["prepend_scheme"] = "never"


def surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokeniser puts before and after any text, such as BOS."""
    whole = tokenizer("a")["input_ids"]
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]
