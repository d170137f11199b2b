"""Why a hit was found, in words: of the query, of the hit, and of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.encoder import Encoder
from oneword.engine.words import Word, best, shared, speaker
from oneword.query.items import stored_unit
from oneword.storage import Item

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ItemWords:
    """A stored item in words.

    Args:
        words: its words, best first.
        shared: words of both the item and the query; empty without a query.
    """

    id: str
    modality: str
    uri: str
    text: str | None
    words: tuple[Word, ...]
    shared: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A query and items in words.

    Args:
        words: the query's words, best first; empty without a query.
        model: whose words they are. Scores are probabilities of a word (E5-V) or cosine similarities to it (basic).
    """

    words: tuple[Word, ...]
    items: tuple[ItemWords, ...]
    model: str
    collection: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: {"words"?, "items": [{"id", ..., "words", "shared"?}], "model", "collection"}."""
        items = []
        for item in self.items:
            document = {"id": item.id, "modality": item.modality, "uri": item.uri, "text": item.text}
            items.append(document | _plain(words=item.words, shared=item.shared))
        return _plain(words=self.words) | {"items": items, "model": self.model, "collection": self.collection}


def explain(
    encoder: Encoder, query: Vectors | None, items: Sequence[Item], count: int
) -> tuple[tuple[Word, ...], list[ItemWords]]:
    """The query's words, and each item's.

    Args:
        encoder: the model of the collection.
        query: unit vector, float32 (d,), or None.
        items: with their vectors.
        count: words of each kind.

    Raises:
        NoWords: the model has none.
    """
    saying = speaker(encoder)
    rows = [*([] if query is None else [query]), *(stored_unit(item) for item in items)]
    if not rows:
        return (), []
    scores = saying.say(np.stack(rows))
    query_scores = None if query is None else scores[0]
    names = saying.vocabulary
    explained = [
        ItemWords(
            id=item.id,
            modality=item.modality,
            uri=item.uri,
            text=item.text,
            words=best(own, names, count),
            shared=() if query_scores is None else shared(query_scores, own, names, count),
        )
        for item, own in zip(items, scores[len(rows) - len(items) :], strict=True)
    ]
    return () if query_scores is None else best(query_scores, names, count), explained


def _plain(**kinds: tuple[Word, ...]) -> dict[str, Any]:
    return {kind: [word.as_dict() for word in words] for kind, words in kinds.items() if words}
