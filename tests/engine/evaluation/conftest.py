"""An encoder whose vectors are written down, so that metrics can be worked out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Composed, Document, Image, Input, Side, Space, Text, View
from tests.tiny import make_checkpoint


class TableEncoder:
    """Texts, plain pictures (by colour) and edits of them, each with a vector from a table.

    Args:
        table: by text, by colour name, or by (colour name, edit).
    """

    name, dimension = "table", 3

    def __init__(self, table: dict[Any, Sequence[float]]) -> None:
        self.table = table
        self.seen: list[tuple[Any, str, Side]] = []

    def space(self, view: View) -> Space:
        return Space(model=self.name, revision="1", view=view, preprocessing={}, dimension=self.dimension)

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:
        return [list(range(len(inputs)))]

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> list[Any]:
        keys = [_key(item) for item in inputs]
        self.seen += [(key, view.name, side) for key in keys]
        return keys

    def forward(self, batch: list[Any]) -> list[Any]:
        return batch

    def finish(self, raw: list[Any]) -> Any:
        return np.array([self.table[key] for key in raw], dtype=np.float32)


COLOURS = {(255, 0, 0): "red", (0, 128, 0): "green", (0, 0, 255): "blue", (255, 255, 0): "yellow", (0, 0, 0): "black"}


def _key(item: Input) -> Any:
    match item:
        case Text():
            return item.text
        case Image():
            pixel = np.array(item.pixels.getpixel((0, 0)))
            near = [name for colour, name in COLOURS.items() if abs(pixel - colour).max() < 8]  # JPEG strays a little
            return near[0] if near else "rendered"
        case Composed():
            return _key(item.image), item.edit
        case Document():
            return _key(item.image), item.text


@pytest.fixture
def paint() -> Callable[..., None]:
    """Writes plain pictures, each under the name of its colour or another one."""

    def write(folder: Path, *colours: str, suffix: str = ".png") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for colour in colours:
            PIL.Image.new("RGB", (8, 8), colour).save(folder / f"{colour}{suffix}")

    return write


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of E5-V's kind with random weights."""
    return make_checkpoint(tmp_path_factory.mktemp("small"), hidden=32)


@pytest.fixture
def table() -> type[TableEncoder]:
    return TableEncoder
