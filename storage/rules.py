"""Validation: the rules that every item passes before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from numbers import Integral

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.errors import BadItem
from oneword.storage.item import ImageWord, Item
from oneword.storage.metadata import KEY, MOST_KEYS, Kind, comparable, counted, kind_of
from oneword.storage.schema import META, REST, STRINGS, TEXT_COLUMNS, TYPES, metadata_kinds, rest_of
from oneword.storage.sql import is_unicode

UNIT_TOLERANCE = 1e-3  # float16 has 11 significant bits: the norm of a rounded unit vector stays well within
KEY_RULE = "expected a letter or '_' followed by at most 62 letters, digits or '_'"


class Rules:
    """The rules of one collection, for items of one write: the first item with a new metadata key decides its kind."""

    def __init__(self, schema: pa.Schema) -> None:
        """schema: of the collection's table."""
        self._dimension: int = schema.field("vector").type.list_size
        self._known = metadata_kinds(schema)
        self._columns = frozenset(schema.names)
        self._new: dict[str, Kind] = {}
        self._more: dict[str, pa.DataType] = {}  # columns that no metadata key is the first to need

    def admit(self, item: Item) -> None:
        """Check an item; its new metadata keys count for those after it.

        Raises:
            BadItem: a metadata key or value that is not allowed, or of another kind than the key's; a text that is not
                Unicode; a vector of the wrong dimension, not finite or not unit length; a field of the wrong type.
        """
        kinds = {key: self._checked_kind(item, key, value) for key, value in item.metadata.items()}
        _check_fields(item)
        _check_vector(item, self._dimension)
        new = {key: kind for key, kind in kinds.items() if key not in self._known}
        fresh = counted(new.keys() - self._new.keys())
        if fresh and counted(self._known | self._new | new) > MOST_KEYS:
            raise _bad(
                item,
                f"brings new metadata keys ({', '.join(list(new)[:3])}), and the collection may have "
                f"{MOST_KEYS} at most; put rare facts under one key, as a list of strings",
            )
        rests = [REST + key for key, value in item.metadata.items() if rest_of(value)]
        texts = {name: kind for name, kind in TEXT_COLUMNS.items() if getattr(item, name) is not None}
        self._new |= new
        needed = dict.fromkeys(rests, pa.int64()) | texts
        self._more |= {name: kind for name, kind in needed.items() if name not in self._columns}

    def refused(self, items: Iterable[Item]) -> dict[str, str]:
        """The ids of items that cannot be admitted, with reasons; the others are admitted."""
        refused: dict[str, str] = {}
        for item in items:
            try:
                self.admit(item)
            except BadItem as error:
                refused[item.id] = str(error)
        return refused

    def new_columns(self) -> list[pa.Field]:
        """The columns to add before the admitted items can be stored."""
        columns = [pa.field(META + key, TYPES[kind]) for key, kind in self._new.items()]
        return columns + [pa.field(name, kind) for name, kind in self._more.items()]

    def _checked_kind(self, item: Item, key: str, value: object) -> Kind:
        kind = _kind(item, key, value)
        kept = self._known.get(key) or self._new.get(key, kind)
        if kind != kept:
            raise _bad(
                item,
                f"has metadata {key!r} as a {kind} ({value!r}), but in this collection it is a {kept}; give every "
                "item the same kind, or use another key",
            )
        return kind


def _bad(item: Item, problem: str) -> BadItem:
    return BadItem(f"item {item.id!r} {problem}")


def _check_vector(item: Item, dimension: int) -> None:
    if item.vector is None:
        raise _bad(item, f"has no vector, expected {dimension} numbers; embed it first")
    try:
        with np.errstate(over="ignore"):  # overflow becomes infinity, which is refused below
            vector: NDArray[np.float32] = np.asarray(item.vector, np.float32)
    except (TypeError, ValueError) as error:
        raise _bad(item, f"has a vector that is not a list of {dimension} numbers: {error}") from error
    if vector.shape != (dimension,):
        raise _bad(item, f"has a vector of shape {vector.shape}, expected ({dimension},)")
    wide = vector.astype(np.float64)
    norm = math.sqrt(wide @ wide)  # faster than np.linalg.norm for a single vector
    if not math.isfinite(norm):
        raise _bad(item, "has a vector with NaN or infinity, expected finite numbers; embed it again")
    if abs(norm - 1.0) > UNIT_TOLERANCE:
        raise _bad(item, f"has a vector of length {norm:.6f}, expected 1; divide it by its length")


def _kind(item: Item, key: str, value: object) -> Kind:
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise _bad(item, f"has the metadata key {key!r}, {KEY_RULE}; rename it")
    kind = kind_of(value)
    if kind is None:
        expected = "expected a string, number, bool, datetime or list of strings; convert it"
        raise _bad(item, f"has metadata {key!r} as {value!r}, {expected}, or leave the key out if there is no value")
    try:
        comparable(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise _bad(item, f"has metadata {key!r} as {value!r}: {error}; correct it or leave it out") from error
    return kind


def _check_fields(item: Item) -> None:
    if item.modality not in ("image", "text"):
        raise _bad(item, f"has modality {item.modality!r}, expected 'image' or 'text'")
    if not item.id:
        raise BadItem(f"the item of {item.uri!r} has an empty id, expected a unique one")
    for name in (*STRINGS, "image_text"):
        value = getattr(item, name)
        if value is None and name in ("text", "image_hash", "image_text"):
            continue
        try:
            value.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise _bad(item, f"has {name} {value!r}, expected Unicode text: {error}") from error
    for name in ("width", "height"):
        value = getattr(item, name)
        if value is not None and not _is_size(value):
            raise _bad(item, f"has {name} {value!r}, expected a whole number of pixels, or None")
    if item.image_words is not None and not all(map(_is_word, item.image_words)):
        raise _bad(item, "has words of its image that are not all ImageWord with Unicode text and numbers from 0 to 1")
    if not isinstance(item.thumbnail, bytes | None):
        raise _bad(item, f"has a thumbnail of type {type(item.thumbnail).__name__}, expected bytes")
    if not isinstance(item.indexed_at, datetime | None):
        raise _bad(item, f"has indexed_at {item.indexed_at!r}, expected a datetime, or None for now")
    try:
        if item.indexed_at is not None:
            comparable(item.indexed_at)
    except ValueError as error:
        raise _bad(item, f"has indexed_at {item.indexed_at!r}: {error}") from error


def _is_size(value: object) -> bool:
    return type(value) is not bool and isinstance(value, Integral) and 0 <= int(value) < 2**63


def _is_word(word: object) -> bool:
    if not isinstance(word, ImageWord) or not isinstance(word.text, str) or not is_unicode(word.text):
        return False
    numbers = (word.x, word.y, word.width, word.height, word.confidence)
    return all(isinstance(one, int | float) and 0 <= one <= 1 for one in numbers)
