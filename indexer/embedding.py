"""Embeds many inputs; those that cannot be do not fail the others."""

from collections.abc import Mapping

from engine.encoder import Encoder, Side, Vectors
from engine.encoding import encode
from engine.errors import DeviceOutOfMemory, EncodingError
from engine.inputs import Input
from engine.views import View


def embed(contents: Mapping[str, Input], encoder: Encoder, view: View) -> tuple[dict[str, Vectors], dict[str, str]]:
    """Vectors, and reasons why there is none, by the key of their input.

    An input that the model has no vector for is left out and the rest embedded again; where the device's memory does
    not hold what one of them needs, halves find out which.
    """
    todo = dict(contents)
    vectors: dict[str, Vectors] = {}
    failed: dict[str, str] = {}
    while todo:
        keys = list(todo)
        try:
            found = encode(encoder, list(todo.values()), view, Side.GALLERY)
        except EncodingError as error:
            failed[keys[error.index]] = str(error)
            del todo[keys[error.index]]
        except DeviceOutOfMemory as error:
            if len(keys) == 1:
                failed[keys[0]] = str(error)
                break
            middle = len(keys) // 2
            for half in (keys[:middle], keys[middle:]):
                more, bad = embed({key: todo[key] for key in half}, encoder, view)
                vectors |= more
                failed |= bad
            break
        else:
            vectors |= dict(zip(keys, found, strict=True))
            break
    return vectors, failed
