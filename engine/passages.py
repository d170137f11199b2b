"""Splits long texts into passages: at the ends of sentences where possible, by the model's own tokens."""

import re
from dataclasses import dataclass, field
from typing import Any

from oneword.engine.encoder import Encoder

WORDS = re.compile(r"\w+|[^\w\s]")
"""What counts as a token for a model without a tokenizer: a word, or a mark."""


@dataclass
class Splitter:
    """Splits texts into passages of at most `tokens` tokens. Picklable, for worker processes.

    A passage ends where a paragraph does, else a sentence, else a word (Unicode UAX 29), as late as fits; nothing but
    white space between passages is lost.

    Args:
        tokens: maximum of a passage, without the prompt.
        tokenizer: JSON of a `tokenizers.Tokenizer`; None counts words and marks.
    """

    tokens: int
    tokenizer: str | None = None
    _splitter: Any = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, encoder: Encoder, tokens: int | None = None) -> "Splitter":
        """Returns the splitter of an encoder; tokens: None for the encoder's own maximum."""
        return cls(tokens=tokens or encoder.passage_tokens, tokenizer=encoder.tokenizer)

    def split(self, text: str) -> list[str]:
        """Returns the passages of a text, in order; a text that fits is returned unchanged."""
        if len(text) <= self.tokens:  # no token is shorter than a character
            return [text]
        passages = self._made().chunks(text)
        return passages if len(passages) > 1 else [text]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_splitter": None}

    def _made(self) -> Any:
        if self._splitter is None:
            from semantic_text_splitter import TextSplitter

            if self.tokenizer is None:
                self._splitter = TextSplitter.from_callback(lambda text: len(WORDS.findall(text)), self.tokens)
            else:
                self._splitter = TextSplitter.from_huggingface_tokenizer_str(self.tokenizer, self.tokens)
        return self._splitter
