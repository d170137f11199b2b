"""Texts to token ids, as a dual encoder's text tower takes them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from oneword.engine.plain import plain, surroundings

REMEMBERED = 16_384
"""Texts whose ids are kept between planning and preparing."""


class Reader(Protocol):
    """What makes a text tower's arguments of texts."""

    limit: int
    """Tokens of a text that are read."""

    plain: Tokenizer | None
    """Counts a text's tokens; None where no `tokenizers.Tokenizer` does."""

    def length(self, text: str) -> int:
        """Returns how many tokens a text costs, padding included where all are padded alike."""
        ...

    def batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Returns the text tower's arguments: int64 (q, l) each."""
        ...

    def settings(self) -> dict[str, Any]:
        """Returns what decides over ids, JSON-ready."""
        ...


class Texts:
    """A checkpoint's tokenizer, for texts alone: a special token that a text spells is read as plain characters.

    Args:
        tokenizer: of transformers, with a `tokenizers` backend.
        positions: tokens that the text tower has places for; longer texts are cut.
        full: pad every text to that length, as SigLIP was trained (arXiv 2303.15343); else to the longest of a batch.
        lower: lower-case texts first, as SigLIP 2 was trained (arXiv 2502.14786).
    """

    def __init__(self, tokenizer: Any, *, positions: int, full: bool, lower: bool) -> None:
        self._words = plain(tokenizer.backend_tokenizer.to_str(), at_start=True, all_added=False)
        self.plain: Tokenizer | None = self._words
        self._before, self._after = surroundings(tokenizer)
        self._padding = int(tokenizer.pad_token_id)
        self._positions, self._full, self._lower = positions, full, lower
        self._left = tokenizer.padding_side == "left"
        self._masked = "attention_mask" in tokenizer.model_input_names
        self.limit = positions - len(self._before) - len(self._after)
        """Tokens of a text that are read."""
        self.highest = max(*self._words.get_vocab(with_added_tokens=False).values(), *self._before, *self._after)
        """The greatest id that a text may have."""
        self._ids = lru_cache(maxsize=REMEMBERED)(self._tokenized)

    def _tokenized(self, text: str) -> tuple[int, ...]:
        ids = self._words.encode(text.lower() if self._lower else text, add_special_tokens=False).ids
        return (*self._before, *ids[: self.limit], *self._after)

    def length(self, text: str) -> int:
        """See `Reader`."""
        return self._positions if self._full else len(self._ids(text))

    def batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """See `Reader`."""
        rows = [self._ids(text) for text in texts]
        longest = self._positions if self._full else max(map(len, rows))
        ids = torch.full((len(rows), longest), self._padding)
        mask = torch.zeros_like(ids)
        for row, into, seen in zip(rows, ids, mask, strict=True):
            where = slice(longest - len(row), None) if self._left else slice(len(row))
            into[where] = torch.tensor(row)
            seen[where] = 1
        return {"input_ids": ids, **({"attention_mask": mask} if self._masked else {})}

    def settings(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"text_tokens": self._positions, "text_padded": self._full, "text_lowered": self._lower}
