"""Shorter vectors of models that were trained for them (Matryoshka, arXiv 2205.13147): the first numbers."""

from typing import Any

from oneword.engine.catalog import describe
from oneword.engine.encoder import Encoder, Vectors
from oneword.engine.errors import ModelError
from oneword.engine.space import Space
from oneword.engine.views import View


def split(name: str) -> tuple[str, int | None]:
    """Returns a model's name and the dimensions after its colon, as collections keep it: "model:256"."""
    model, _, dimensions = name.rpartition(":")
    return (model, int(dimensions)) if model and dimensions.isascii() and dimensions.isdecimal() else (name, None)


class Truncated:
    """An encoder whose vectors are truncated; the driver normalizes the rest.

    Args:
        model: which known model it is; by default the one of its name.
        name: what it is called; by default the encoder's name, a colon and the dimensions.

    Raises:
        ModelError: the model was not trained for so few.
    """

    def __init__(self, encoder: Encoder, dimensions: int, *, model: str | None = None, name: str | None = None) -> None:
        known = describe(model or encoder.name)
        lengths = known.truncations if known else ()
        if dimensions not in lengths:
            expected = f"expected one of {', '.join(map(str, lengths))}" if lengths else "drop --dimensions"
            raise ModelError(
                f"dimensions {dimensions}: model {encoder.name!r} was not trained for vectors cut to that length, as "
                f"far as is known: {expected}"
            )
        self._encoder = encoder
        self.name = name or f"{encoder.name}:{dimensions}"
        self.dimension = dimensions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def space(self, view: View) -> Space:
        """See `Encoder.space`."""
        whole = self._encoder.space(view)
        return Space(
            model=self.name,
            revision=whole.revision,
            view=view,
            preprocessing={**whole.preprocessing, "cut_from": whole.dimension},
            dimension=self.dimension,
        )

    def finish(self, raw: Any) -> Vectors:
        """float32 (n, d), the first d of the model's numbers."""
        return self._encoder.finish(raw)[:, : self.dimension]
