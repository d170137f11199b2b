"""The columns of a parquet file: which are ours, which become metadata, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from oneword.storage.errors import BadFile, BadSpace
from oneword.storage.metadata import KEY, Kind
from oneword.storage.schema import ITEM_COLUMNS, META, REST, SPACE_KEY, TIME
from oneword.storage.space import checked_space

TEXTS = ("modality", "uri", "text", "content_hash", "image_hash")
NUMBERS = ("width", "height")
PANDAS = "__index_level_"  # the column that pandas writes its row labels to; nobody's metadata


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is read.

    space: that it was exported with, or None: then the user vouches for the collection it goes to.
    whole: it has every column of a collection, so rows are taken as they are.
    metadata: the columns that become metadata, with their kinds, where it is not whole.
    """

    space: dict[str, Any] | None
    whole: bool
    columns: tuple[str, ...]
    metadata: Mapping[str, Kind]


def layout(file: Path, schema: pa.Schema) -> Layout:
    """What a file is, by its schema.

    Raises:
        BadFile: columns are missing or of the wrong type; the message names all of them.
    """
    written = (schema.metadata or {}).get(SPACE_KEY)
    whole = written is not None or set(ITEM_COLUMNS) <= set(schema.names)
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    wrong = [f"there are two columns {name!r}" for name in twice]
    needed = [*ITEM_COLUMNS, "thumbnail", "vector"] if written is not None else ["id", "vector"]
    wrong += [f"column {name!r} is missing" for name in needed if name not in schema.names]
    if not whole and not {"text", "uri"} & set(schema.names):
        wrong.append("neither 'text' nor 'uri' is there, expected one of the two")
    own = ("id", *TEXTS, *NUMBERS, "thumbnail", "indexed_at", "vector", *(["metadata"] if whole else []))
    others = [
        name
        for name in schema.names
        if name not in own and not name.startswith(PANDAS) and not (whole and name.startswith((META, REST)))
    ]
    if whole and others:
        wrong.append(f"columns {', '.join(map(repr, others))} are not a collection's")
    wrong += [complaint for field in schema if (complaint := _complaint(field, own, whole))]
    if wrong:
        raise BadFile(f"{file}: {'; '.join(wrong)}; correct the file, or write it again without such columns")
    return Layout(
        space=None if written is None else _space(file, written),
        whole=whole,
        columns=tuple(name for name in schema.names if name in own or name in others),
        metadata={name: kind for name in others if (kind := metadata_kind(schema.field(name).type))},
    )


def _space(file: Path, written: bytes) -> dict[str, Any]:
    try:
        return checked_space(json.loads(written))
    except (ValueError, AttributeError, BadSpace) as error:
        raise BadFile(f"{file}: the space written in it cannot be read ({error}); export it again") from error


def _complaint(field: pa.Field, own: tuple[str, ...], whole: bool) -> str | None:
    """What is wrong with a column's type, or None."""
    kind, name = _plain(field.type), field.name
    if name == "vector":
        right = _is_list(kind) and pa.types.is_floating(kind.value_type)
        return None if right else f"column 'vector' is {kind}, expected lists of float16, float32 or float64"
    if name == "id":
        right = _is_text(kind) or pa.types.is_integer(kind)
        return None if right else f"column 'id' is {kind}, expected strings or whole numbers"
    expected = {
        **dict.fromkeys((*TEXTS, "metadata"), ("strings", _is_text)),
        **dict.fromkeys(NUMBERS, ("whole numbers", pa.types.is_integer)),
        "thumbnail": ("bytes", lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind)),
        "indexed_at": ("times", pa.types.is_timestamp),
    }
    if name in own:
        words, test = expected[name]
        return None if test(kind) or pa.types.is_null(kind) else f"column {name!r} is {kind}, expected {words}"
    if whole or name.startswith(PANDAS):
        return None
    if not KEY.fullmatch(name):
        return (
            f"column {name!r} cannot be a metadata key, expected a letter or '_' followed by at most 62 letters, "
            "digits or '_'"
        )
    if metadata_kind(kind) is None and not pa.types.is_null(kind):
        return (
            f"column {name!r} is {kind}, which metadata cannot be: expected strings, numbers, bools, times or "
            "lists of strings"
        )
    return None


def metadata_kind(kind: pa.DataType) -> Kind | None:
    """The kind of metadata that a column's values are, or None if they can be none."""
    kind = _plain(kind)
    if _is_text(kind):
        return "string"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if _is_list(kind) and _is_text(_plain(kind.value_type)):
        return "list of strings"
    return None


def values(column: pa.Array) -> list[Any]:
    """A column as Python has it: times in UTC and to the microsecond, decimals as floats."""
    kind = _plain(column.type)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return list(column.cast(TIME, safe=False).to_pylist())
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return list(column.cast(pa.float64()).to_pylist())
    return list(column.to_pylist())


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
