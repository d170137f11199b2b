"""Tokenizes users' texts as plain characters, whatever special tokens they spell."""

import json
from typing import Any

from tokenizers import Tokenizer

UNREACHABLE = "\U0010ffff"
"""Prefix of pieces that no text may match: a noncharacter, which no text contains."""


def plain(backend: str, at_start: bool, *, all_added: bool = True) -> Tokenizer:
    """Returns a copy of a tokenizer that knows no added tokens, adds none, and neither truncates nor pads.

    Args:
        backend: the tokenizer's JSON.
        at_start: for the start of a prompt; else for what follows an added token.
        all_added: forget all added tokens; else only special ones, so that Gemma's runs of blanks and line ends stay.
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
        # Special tokens are pieces, too, which a text would match.
        model["vocab"] = [[UNREACHABLE + piece if piece in added else piece, score] for piece, score in model["vocab"]]
    if not at_start:
        _no_prefix(settings["pre_tokenizer"])
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.encode_special_tokens = True  # of those that are left, special ones are read as plain characters
    return tokenizer


def _no_prefix(step: dict[str, Any] | None) -> None:
    """SentencePiece-like tokenizers may put a space before the text's very beginning, and only there."""
    if step is None:
        return
    for inner in step.get("pretokenizers", ()):
        _no_prefix(inner)
    if step.get("prepend_scheme") == "first":
        step["prepend_scheme"] = "never"


def surroundings(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Returns the ids that the tokenizer puts before and after any text, such as BOS."""
    whole = tokenizer("a")["input_ids"]
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]
