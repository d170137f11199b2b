"""Models that are only named: vectors that were made elsewhere, which can be searched by vector or by stored item.

`vectors:NAME:DIMENSIONS` (`vectors:text-embedding-3-small:1536`) stands where a model is expected. Its space is
declared by whoever brings the vectors: two collections of the same name and dimensions may be compared.
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from oneword.engine.encoder import Side, Vectors
from oneword.engine.errors import EncodingError, ModelNotFound
from oneword.engine.inputs import Input
from oneword.engine.space import Space
from oneword.engine.views import View, require_default

PREFIX = "vectors:"
_NAME = re.compile(rf"{PREFIX}([\w./@+-]{{1,100}}):([1-9]\d{{0,4}})", re.ASCII)


def is_declared(name: str) -> bool:
    """Returns whether the name declares a space, instead of naming a model that can be loaded."""
    return _NAME.fullmatch(name) is not None


class Declared:
    """An encoder that has a space and embeds nothing.

    Raises:
        ModelNotFound: the name is not as above.
    """

    chunk_tokens = 128
    tokenizer: str | None = None

    def __init__(self, name: str) -> None:
        if not (found := _NAME.fullmatch(name)):
            raise ModelNotFound(
                f"model {name[:120]!r}: expected {PREFIX}NAME:DIMENSIONS, such as vectors:text-embedding-3-small:1536; "
                "a name has up to 100 letters, digits and any of ./@+_-"
            )
        self.name, self._made_by, self.dimension = name, found[1], int(found[2])

    def space(self, view: View) -> Space:
        """Returns the space of the default view. Raises ViewError for others."""
        require_default(view, self.name)
        return Space(
            model=self.name,
            revision="declared",
            view=view,
            preprocessing={"declared": self._made_by},
            dimension=self.dimension,
        )

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Raises EncodingError."""
        self._fail()

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Vectors:  # noqa: ARG002
        """Raises EncodingError."""
        self._fail()

    def forward(self, batch: Vectors) -> Vectors:  # noqa: ARG002
        """Raises EncodingError."""
        self._fail()

    def finish(self, raw: Vectors) -> Vectors:  # noqa: ARG002
        """Raises EncodingError."""
        self._fail()

    def _fail(self) -> NoReturn:
        raise EncodingError(
            f"model {self.name!r} only says where vectors came from, and cannot embed: search by vector or by stored "
            "items (--like), and store items with their vectors",
            index=0,
        )
