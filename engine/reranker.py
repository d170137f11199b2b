"""Rerankers: models of sentence-transformers' `CrossEncoder`, which read a query and a document together.

More exact than two vectors, and far slower: a forward pass for each document. Most read texts; some, such as
Qwen3-VL-Reranker, images as well.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import PIL.Image

from oneword.engine.checkpoint import CROSS_ENCODER, find
from oneword.engine.dependencies import quiet, require
from oneword.engine.devices import Placement, pick
from oneword.engine.errors import EngineError, WrongCheckpoint
from oneword.engine.pretrained import named

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

ROWS = 8
"""Pairs in a forward pass: few, so that a deadline is noticed soon."""

MOST_CHARACTERS = 20_000
"""Of a text; the model cuts it further, by its tokens."""


class Reranker:
    """A `CrossEncoder` with one score for a pair. Made by `load_reranker`. Not for two threads at a time."""

    def __init__(self, *, name: str, model: "CrossEncoder") -> None:
        self.name, self.model = name, model
        self.sees = bool(model.supports("image"))
        """Whether it takes images."""
        self._joins = self.sees and bool(model.supports(("image", "text")))

    def readable(self, texts: Sequence[str], images: Sequence[PIL.Image.Image]) -> Any | None:
        """Returns what the model takes of texts and images that belong together; None if it reads none of them."""
        text = "\n".join(texts)[:MOST_CHARACTERS]
        if not images or not self.sees or (text and not self._joins):
            return text or None
        seen = list(images) if len(images) > 1 and self._joins else images[0]
        return {"image": seen, "text": text} if text else {"image": seen} if isinstance(seen, list) else seen

    def scores(self, query: Any, documents: Sequence[Any], ended: Callable[[], bool]) -> list[float] | None:
        """Returns the score of each document, as `CrossEncoder.predict` gives it; None if it was ended before.

        Args:
            query, documents: as `readable` returns them.
            ended: is asked between two forward passes.
        """
        found: list[float] = []
        for start in range(0, len(documents), ROWS):
            if ended():
                return None
            pairs = [(query, one) for one in documents[start : start + ROWS]]
            found += self.model.predict(pairs, batch_size=ROWS, show_progress_bar=False).tolist()
        return found


def load_reranker(model: str, *, revision: str | None = None, **placement: Unpack[Placement]) -> Reranker:
    """Loads a reranker that sentence-transformers saved, or that it can make of a checkpoint of transformers.

    Code that comes with a model is never run, and weights are read from safetensors alone.

    Args:
        model: a Hugging Face id or a folder.
        revision: of a hub model: a branch, tag or commit.
        placement: see `Placement`.

    Raises:
        ModelNotFound, MissingDependency, DeviceUnavailable
        WrongCheckpoint: incomplete, or not one score for a pair.
        DeviceOutOfMemory: the weights do not fit.
    """
    require("sentence_transformers", what=f"the reranker {model!r}", extra="rerank")
    place, number = pick(placement)
    checkpoint = find(model, revision, expected=CROSS_ENCODER)
    from sentence_transformers import CrossEncoder

    try:
        with quiet():
            loaded = CrossEncoder(
                str(checkpoint.folder),
                device=str(place),
                local_files_only=True,
                model_kwargs={"dtype": number, "use_safetensors": True},
            ).eval()
    except EngineError:
        raise
    except Exception as error:  # a malformed file may raise anything
        raise named(error, checkpoint.model, place) from error
    if loaded.num_labels != 1:
        raise WrongCheckpoint(
            f"{checkpoint.model}: gives {loaded.num_labels} scores for a pair: expected a reranker, which gives one"
        )
    return Reranker(name=checkpoint.model, model=loaded)
