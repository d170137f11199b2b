"""How many tokens texts have: what OpenAI's answers tell as usage."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from engine.encoder import Encoder
from engine.passages import WORDS


class Counter:
    """Counts as an encoder's tokeniser does; where it has none, words and marks."""

    def __init__(self, tokeniser: str | None) -> None:
        """tokeniser: JSON of a `tokenizers.Tokenizer`."""
        self._tokeniser: Any = None
        if tokeniser is not None:
            from tokenizers import Tokenizer

            self._tokeniser = Tokenizer.from_str(tokeniser)

    @classmethod
    def of(cls, encoder: Encoder) -> "Counter":
        """An encoder's; made once."""
        return _counter(encoder.tokeniser)

    def count(self, texts: Sequence[str]) -> int:
        """Tokens of all of them; prompts and pictures are not counted."""
        if self._tokeniser is None:
            return sum(len(WORDS.findall(text)) for text in texts)
        return sum(len(one.ids) for one in self._tokeniser.encode_batch_fast(list(texts), add_special_tokens=False))


@lru_cache(maxsize=4)
def _counter(tokeniser: str | None) -> Counter:
    return Counter(tokeniser)
