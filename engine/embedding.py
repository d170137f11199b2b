"""Embeds many inputs; those that cannot be do not fail the others."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import Encoding
from oneword.engine.errors import DeviceOutOfMemory, EncodingError, EngineError
from oneword.engine.inputs import Input
from oneword.engine.views import View

Key = TypeVar("Key", bound=Hashable)


class Started(Generic[Key]):
    """Inputs that are being prepared, by key, to be embedded when `result` is asked for.

    Raises:
        ViewError: the model cannot follow this view.
    """

    def __init__(self, contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY) -> None:
        self.contents, self._how = contents, (encoder, view, side)
        self._encoding = Encoding(encoder, list(contents.values()), view, side)

    @property
    def ending(self) -> bool:
        """See `Encoding`."""
        return self._encoding.ending

    def result(self) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
        """Unit vectors, float32 (d,), and errors where there is none, by the key of their input.

        An input that the model has no vector for is left out and the rest embedded again; where the device's memory
        does not hold what one of them needs, halves find out which.
        """
        todo, failed, encoding = dict(self.contents), dict[Key, EngineError](), self._encoding
        while True:
            keys = list(todo)
            try:
                return dict(zip(keys, encoding.vectors(), strict=True)), failed
            except EncodingError as error:
                failed[keys[error.index]] = error
                del todo[keys[error.index]]
            except DeviceOutOfMemory as error:
                if len(keys) == 1:
                    return {}, failed | {keys[0]: error}
                middle = len(keys) // 2
                halves = [
                    embed({key: todo[key] for key in half}, *self._how) for half in (keys[:middle], keys[middle:])
                ]
                return halves[0][0] | halves[1][0], failed | halves[0][1] | halves[1][1]
            encoder, view, side = self._how
            encoding = Encoding(encoder, list(todo.values()), view, side)


def embed(
    contents: Mapping[Key, Input], encoder: Encoder, view: View, side: Side = Side.GALLERY
) -> tuple[dict[Key, Vectors], dict[Key, EngineError]]:
    """Embeds at once. Returns and raises: as `Started`."""
    return Started(contents, encoder, view, side).result()
