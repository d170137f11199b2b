"""Reading data sets' files, with errors that name them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneword.engine.errors import EngineError, InputError
from oneword.engine.images import decode_file
from oneword.engine.inputs import Image


class BadData(EngineError):
    """A data set that is not there, or not in its published layout."""


def read_json(path: Path, layout: str, kind: type = dict) -> Any:
    """Parsed, a dictionary or a list as said. Raises BadData, which says the layout that was expected."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, kind):
            raise ValueError(f"it holds a {type(value).__name__}, expected a {kind.__name__}: {layout}")
        return value
    except FileNotFoundError:
        raise BadData(f"{path}: no such file: expected {layout}") from None
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read as JSON: {error}") from error


def field(entry: Any, name: str, kind: type, path: Path) -> Any:
    """A field of an entry. Raises BadData if it lacks it or has it of another type."""
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise BadData(f"{path}: an entry has {name} = {value!r}: expected a {kind.__name__}: {str(entry)[:200]}")
    return value


def image_file(*places: Path) -> Callable[[], Image]:
    """Returns what loads an image from the first of the places where there is a file.

    Raises:
        BadData: there is none; or, when it is loaded, it is no image.
    """
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise BadData(f"image of the data set is not there: expected {' or '.join(map(str, places))}")

    def load() -> Image:
        try:
            return Image(pixels=decode_file(found))
        except InputError as error:
            raise BadData(f"image of the data set cannot be loaded: {error}") from error

    return load
