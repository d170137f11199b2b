"""The words that a vector stands for, read through its model's own output.

E5-V's vector is the state that would say one word, so the output layer can be asked which. A word that a query
and a hit both stand for says why the hit was found.

Legend: n vectors, d dimensions, w words of a vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from oneword.engine.encoder import Encoder, Vectors
from oneword.engine.errors import NoWords


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and how much it is meant: what the score is, its model says (E5-V: a probability)."""

    text: str
    score: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: {"text", "score"}."""
        return {"text": self.text, "score": round(self.score, 6)}


@runtime_checkable
class Speaker(Protocol):
    """An encoder whose vectors can be read back as words."""

    @property
    def vocabulary(self) -> Sequence[str]:
        """The w words, each once."""
        ...

    def say(self, vectors: Vectors) -> Vectors:
        """How much each word is meant, float32 (n, w), of unit vectors (n, d); higher is more."""
        ...


def speaker(encoder: Encoder) -> Speaker:
    """The encoder, as one that can say words.

    Raises:
        NoWords: it cannot.
    """
    if isinstance(encoder, Speaker):
        return encoder
    raise NoWords(f"the model {encoder.name!r} has no words to explain with: expected E5-V, mini or basic")


def best(scores: Vectors, vocabulary: Sequence[str], k: int) -> tuple[Word, ...]:
    """The k highest of scores (w,), best first; equal ones in the order of the vocabulary."""
    k = min(k, len(scores))
    likeliest = np.argpartition(-scores, k - 1)[:k] if k else np.empty(0, dtype=np.intp)
    order = sorted(likeliest.tolist(), key=lambda i: (-scores[i], i))
    return tuple(Word(text=vocabulary[i], score=float(scores[i])) for i in order)


def shared(one: Vectors, other: Vectors, vocabulary: Sequence[str], k: int) -> tuple[Word, ...]:
    """The k words that both scores (w,) mean most: each word counts as much as the one that means it less does."""
    return best(np.minimum(one, other), vocabulary, k)
