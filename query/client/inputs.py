"""What is upserted, and what is embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL.Image

from oneword.query.errors import BadQuery
from oneword.query.query import ImageSource
from oneword.query.result import plain
from oneword.query.wire import image_uri, numbers

Input = str | Path | bytes | PIL.Image.Image | Mapping[str, Any]
"""What is embedded: a text; an image as a path, encoded bytes or a PIL image; or a mapping of `image` (also a URL or
a path as text), alone, with `text` (a document), or with `edit` (a composed query)."""


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """An item to store: a text, an image, both (a document), or a vector of the collection's space.

    Args:
        id: unique in its collection; an item of that id is replaced. None: the hash of its content.
        image: a path, an http or https URL for the server to fetch, encoded bytes, or a PIL image.
        vector: (d,) finite numbers, in place of text and image.
        uri: where the original is, for hits to say.
        metadata: facts about it; a key has one type in the whole collection. Times are sent as ISO 8601.
        modality: "image" or "text", of an item that is only a vector.
    """

    id: str | None = None
    text: str | None = None
    image: ImageSource | None = field(default=None, repr=False)
    vector: Sequence[float] | None = field(default=None, repr=False)
    uri: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    modality: str | None = None

    @classmethod
    def of(cls, item: "NewItem | Mapping[str, Any]") -> "NewItem":
        """An item as it is, or from a mapping of its fields.

        Raises:
            BadQuery: a field that items do not have.
        """
        if isinstance(item, NewItem):
            return item
        try:
            return cls(**item)
        except TypeError as error:
            known = ", ".join(cls.__dataclass_fields__)
            raise BadQuery(f"item with {', '.join(map(str, item))}: expected some of {known}") from error

    def as_json(self) -> dict[str, Any]:
        """As the service takes it.

        Raises:
            UnreadableFile: the image's file.
            BadQuery: a vector that is not a list of finite numbers.
        """
        given = {name: getattr(self, name) for name in ("id", "text", "uri", "modality")}
        document = {name: value for name, value in given.items() if value is not None}
        if self.image is not None:
            document["image"] = image_uri(self.image)
        if self.vector is not None:
            document["vector"] = numbers(self.vector)
        if self.metadata:
            document["metadata"] = plain(self.metadata)
        return document


def input_of(one: Input) -> str | dict[str, Any]:
    """An input as `/v1/embeddings` takes it.

    Raises:
        UnreadableFile: an image's file.
        BadQuery: something else than `Input` says.
    """
    if isinstance(one, str):
        return one
    if not isinstance(one, Mapping):
        return {"image": image_uri(one)}
    if "image" not in one or not set(one) <= {"image", "text", "edit"}:
        raise BadQuery(f"input with {', '.join(map(str, one))}: expected image, alone or with text or edit")
    return {**one, "image": image_uri(one["image"])}
