"""How many tokens texts have: what OpenAI's answers tell as usage."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from oneword.engine.encoder import Encoder
from oneword.engine.passages import WORDS


def tokens_of(encoder: Encoder, texts: Sequence[str]) -> int:
    """As the encoder's tokeniser counts them; where it has none, words and marks. Prompts and pictures do not count."""
    if encoder.tokeniser is None:
        return sum(len(WORDS.findall(text)) for text in texts)
    encoded = _tokeniser(encoder.tokeniser).encode_batch_fast(list(texts), add_special_tokens=False)
    return sum(len(one.ids) for one in encoded)


@lru_cache(maxsize=4)
def _tokeniser(document: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(document)
