"""From a query's parts to one vector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oneword import engine
from oneword.engine.images import decode, decode_file
from oneword.engine.inputs import images_of
from oneword.query.errors import BadQuery
from oneword.query.items import stored_unit, unit
from oneword.query.query import Composed, Image, Interleaved, Like, OfImage, Part, Query, Text, Vector
from oneword.storage import Item, ItemNotFound
from oneword.storage.confidence import Asked

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PreparedQuery:
    """A query, and what of it a model has to embed.

    Args:
        inputs: by the place of their part in the query.
        shortened: of them, how many have a text that is longer than the model reads.
    """

    query: Query
    inputs: Mapping[int, engine.Input]
    shortened: int = 0

    @classmethod
    def of(cls, query: Query) -> "PreparedQuery":
        """Reads and decodes the query's images.

        Raises:
            InputError: an image or a text cannot be read.
        """
        parts = enumerate(query.parts)
        return cls(
            query=query, inputs={place: _input(part) for place, part in parts if not isinstance(part, Like | Vector)}
        )

    def reading(self, read: Sequence[engine.Input]) -> "PreparedQuery":
        """Returns the same query with what the model reads of its inputs, in their order."""
        shortened = sum(new is not old for new, old in zip(read, self.inputs.values(), strict=True))
        return replace(self, inputs=dict(zip(self.inputs, read, strict=True)), shortened=shortened)

    @property
    def liked(self) -> list[str]:
        """Ids of the stored items in the query."""
        return [part.id for part in self.query.parts if isinstance(part, Like)]

    def asked(self, stored: Mapping[str, Item]) -> Asked | None:
        """What its vector is made of: texts alone or images alone; None: of both, edits, raw vectors or with keywords.

        stored: the items of `liked`.
        """
        kinds = {_kind(part, stored) for part in self.query.parts}
        return kinds.pop() if len(kinds) == 1 and self.query.keywords is None else None

    @property
    def edited(self) -> list[str]:
        """Hashes of the images that the query edits, or has between words: they are not hits."""
        edits = [one for one in self.inputs.values() if isinstance(one, engine.Composed | engine.Interleaved)]
        return [image.region_of or image.content_hash for one in edits for image in images_of(one)]

    def vector(
        self, embedded: Mapping[int, Vectors], stored: Mapping[str, Item], dimension: int, collection: str
    ) -> Vectors | None:
        """The normalized sum of the weighted parts, float32 (d,); None where there are only keywords.

        Args:
            embedded: unit vectors, float32 (d,), of `inputs`.
            stored: the items of `liked`, with vectors.
            dimension: d.
            collection: its name, for errors.

        Raises:
            ItemNotFound: one of `liked` is not stored.
            BadQuery: a raw vector of another dimension, or parts that cancel out.
        """
        if not self.query.parts:
            return None
        total = np.zeros(dimension, dtype=np.float64)
        for place, part in enumerate(self.query.parts):
            match part:
                case Like():
                    if part.id not in stored:
                        raise ItemNotFound(part.id, collection)
                    vector = stored_unit(stored[part.id])
                case Vector():
                    try:
                        vector = unit(part.values, dimension)
                    except BadQuery as error:
                        raise BadQuery(f"the vector {error}") from error
                case _:
                    vector = embedded[place]
            total += part.weight * np.asarray(vector, np.float64)
        with np.errstate(over="ignore"):  # it becomes infinity, which is refused
            length = np.linalg.norm(total)
        if not np.isfinite(length):
            raise BadQuery("the weights of the query are too large to be added up: expected some like 1")
        if length < 1e-6:
            raise BadQuery("the parts of the query cancel each other out: change a weight, or drop a part")
        return (total / length).astype(np.float32)


def _kind(part: Part, stored: Mapping[str, Item]) -> Asked | None:
    match part:
        case Text():
            return "text"
        case Like():
            return stored[part.id].modality
        case Image():
            return "image"
        case _:
            return None


def _input(part: Text | Image | Composed | Interleaved) -> engine.Input:
    match part:
        case Text():
            return engine.Text(text=part.text)
        case Composed():
            return engine.Composed(image=_image(part), edit=part.edit)
        case Image():
            return _image(part)
        case Interleaved():
            return engine.Interleaved(pieces=[one if isinstance(one, str) else _image(one) for one in part.pieces])


def _image(part: OfImage) -> engine.Image:
    match part.image:
        case str() | Path():
            image = engine.Image(pixels=decode_file(Path(part.image).expanduser()))
        case bytes():
            image = engine.Image(pixels=decode(part.image))
        case engine.Image():
            image = part.image
        case _:
            image = engine.Image(pixels=part.image)
    return image if part.crop is None else image.cropped(part.crop)
