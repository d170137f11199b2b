"""What becomes of an input: unchanged, loaded (and then embedded and written), or refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from oneword.engine.inputs import Document, Image, Input
from oneword.storage import Item, Refused
from oneword.storage.visible import visible


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """An input that is stored as it is."""

    origin: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An input that was read and differs from what is stored.

    Args:
        items: that it becomes: one, or a long text's chunks in order; with vectors once they are embedded.
        contents: what each item's vector is computed from; empty once they are embedded.
        before: how the collection had it: "touched" where only its file's time differs.
        stale: ids of chunks that it had when it was longer.
        shortened: whether the model does not read all of its text.
    """

    origin: str
    items: tuple[Item, ...]
    contents: tuple[Input, ...]
    before: Literal["absent", "differing", "touched"] = "absent"
    stale: tuple[str, ...] = ()
    shortened: bool = False

    @property
    def rows(self) -> int:
        """How many items it becomes."""
        return len(self.items)

    @property
    def pixels(self) -> int:
        """How many pixels its contents hold in memory."""
        images = (one.image if isinstance(one, Document) else one for one in self.contents)
        return sum(image.held for image in images if isinstance(image, Image))

    @property
    def bytes(self) -> int:
        """About how many bytes are written of it."""
        return sum(len(one.thumbnail or b"") + 4 * len(one.vector) for one in self.items if one.vector is not None)


Outcome: TypeAlias = Loaded | Refused | Unchanged
"""What becomes of one input."""


def refuse(origin: str, kind: str, reason: str) -> Refused:
    """A quarantine record: one line that a terminal shows as it is, whatever a file's name holds."""
    return Refused(uri=origin, reason=visible(reason), kind=kind, at=datetime.now(UTC))
