"""The words that a vector expresses, read through the output layer of its model.

E5-V's vector is the hidden state from which the model predicts one word. A word that is likely for both a query and a
hit explains the hit.

Legend: n vectors, d dimensions, w words of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from oneword.engine.errors import NoWords

if TYPE_CHECKING:
    from oneword.engine.encoder import Encoder, Vectors


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and its score, whose meaning depends on the model (E5-V: a probability)."""

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
        """Returns the score of each word, float32 (n, w), for unit vectors (n, d)."""
        ...


def speaker(encoder: Encoder) -> Speaker:
    """Returns the encoder, if it can name words.

    Raises:
        NoWords: it cannot.
    """
    if isinstance(encoder, Speaker):
        return encoder
    raise NoWords(f"the model {encoder.name!r} has no words to explain with: expected E5-V, mini or basic")


def best(scores: Vectors, vocabulary: Sequence[str], k: int) -> tuple[Word, ...]:
    """Returns the k words with the highest scores (w,), best first; ties in the order of the vocabulary."""
    import numpy as np

    k = min(k, len(scores))
    likeliest = np.argpartition(-scores, k - 1)[:k] if k else np.empty(0, dtype=np.intp)
    order = sorted(likeliest.tolist(), key=lambda i: (-scores[i], i))
    return tuple(Word(text=vocabulary[i], score=float(scores[i])) for i in order)


def shared(one: Vectors, other: Vectors, vocabulary: Sequence[str], k: int) -> tuple[Word, ...]:
    """Returns the k words that score highest in both, by the lower of the two scores (w,)."""
    import numpy as np

    return best(np.minimum(one, other), vocabulary, k)
