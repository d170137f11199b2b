"""Embeds many inputs; those that cannot be do not fail the others."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import encode
from oneword.engine.errors import DeviceOutOfMemory, EncodingError, EngineError
from oneword.engine.inputs import Input
from oneword.engine.views import View

Key = TypeVar("Key", bound=Hashable)


def embed(
    contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY
) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
    """Unit vectors, float32 (d,), and errors where there is none, by the key of their input.

    An input that the model has no vector for is left out and the rest embedded again; where the device's memory does
    not hold what one of them needs, halves find out which.
    """
    todo = dict(contents)
    vectors: dict[Key, Vectors] = {}
    failed: dict[Key, EngineError] = {}
    while todo:
        keys = list(todo)
        try:
            found = encode(encoder, list(todo.values()), view, side)
        except EncodingError as error:
            failed[keys[error.index]] = error
            del todo[keys[error.index]]
        except DeviceOutOfMemory as error:
            if len(keys) == 1:
                failed[keys[0]] = error
                break
            middle = len(keys) // 2
            for half in (keys[:middle], keys[middle:]):
                more, bad = embed({key: todo[key] for key in half}, encoder, view, side)
                vectors |= more
                failed |= bad
            break
        else:
            vectors |= dict(zip(keys, found, strict=True))
            break
    return vectors, failed
