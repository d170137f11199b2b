"""Splits long texts into chunks: at the ends of sentences where possible, by the model's own tokens."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from oneword.engine.encoder import Encoder, Limited
from oneword.engine.inputs import Composed, Document, Input, Interleaved, Text

WORDS = re.compile(r"\w+|[^\w\s]")
"""What counts as a token for a model without a tokenizer: a word, or a mark."""


@dataclass
class Splitter:
    """Splits texts into chunks of at most `tokens` tokens. Picklable, for worker processes.

    A chunk ends where a paragraph does, else a sentence, else a word (Unicode UAX 29), as late as fits; nothing but
    white space between chunks is lost.

    Args:
        tokens: maximum of a chunk, without the prompt; None leaves texts whole.
        tokenizer: JSON of a `tokenizers.Tokenizer`; None counts words and marks.
        limit: of tokens that the model reads; None if that is not known.
    """

    tokens: int | None
    tokenizer: str | None = None
    limit: int | None = None
    _made: dict[int, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, encoder: Encoder, tokens: int | None = None) -> "Splitter":
        """Returns the splitter of an encoder; tokens: None for the encoder's own maximum, 0 to leave texts whole."""
        return cls(
            tokens=encoder.chunk_tokens if tokens is None else tokens or None,
            tokenizer=encoder.tokenizer,
            limit=encoder.text_tokens if isinstance(encoder, Limited) else None,
        )

    def split(self, text: str) -> list[str]:
        """Returns the chunks of a text, in order; a text that fits is returned unchanged."""
        return self._chunks(text, self.tokens)

    def fitted(self, content: Input) -> Input:
        """Returns what the model reads of an input: of a text over its limit the first chunk that fits."""
        match content:
            case Text(text=text) | Document(text=text):
                read = self._chunks(text, self.limit)[0]
                return content if read == text else replace(content, text=read)
            case Composed(edit=edit):
                read = self._chunks(edit, self.limit)[0]
                return content if read == edit else replace(content, edit=read)
            case Interleaved(pieces=given):
                pieces = tuple(self._chunks(one, self.limit)[0] if isinstance(one, str) else one for one in given)
                same = all(new is old or new == old for new, old in zip(pieces, given, strict=True))
                return content if same else Interleaved(pieces=pieces)
            case _:
                return content

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_made": {}}

    def _chunks(self, text: str, tokens: int | None) -> list[str]:
        if tokens is None or fits(text, tokens):
            return [text]
        if self.tokenizer is None and len(WORDS.findall(text)) <= tokens:
            return [text]
        if tokens not in self._made:
            from semantic_text_splitter import TextSplitter

            self._made[tokens] = (
                TextSplitter.from_callback(lambda text: len(WORDS.findall(text)), tokens)
                if self.tokenizer is None
                else TextSplitter.from_huggingface_tokenizer_str(self.tokenizer, tokens)
            )
        chunks = self._made[tokens].chunks(text)
        return chunks if len(chunks) > 1 else [text]


def fits(text: str, tokens: int) -> bool:
    """Returns whether a text has so few bytes that it has no more tokens: none is shorter than a byte."""
    return len(text) <= tokens and len(text.encode("utf-8", "surrogatepass")) <= tokens
