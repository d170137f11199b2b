"""Imports rows with vectors: exports, to the bit, and rows of other tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oneword.storage.collection import Collection
from oneword.storage.errors import BadSpace, CollectionNotFound, StorageError
from oneword.storage.info import Imported
from oneword.storage.item import Item
from oneword.storage.metadata import KEY, Kind, loads
from oneword.storage.rows import Rows, of_parquet
from oneword.storage.rules import UNIT_TOLERANCE
from oneword.storage.schema import (
    IMAGE_WORDS,
    ITEM_COLUMNS,
    META,
    PANDAS,
    REST,
    SPACE_KEY,
    TEXT_COLUMNS,
    TIME,
    WORD,
    check_same,
    checked_space,
    is_list,
    is_text,
    metadata_kind,
    metadata_kinds,
    plain_type,
    words_of,
)
from oneword.storage.store import Store

CHUNK = 4096
"""Most rows in one commit of an import: what a killed import repeats, and what is in memory."""
CHUNK_NUMBERS = 2**22
"""Most vector numbers in one commit of an import (32 MB as float64)."""
IMPORTED = "import:"
"""Prefix of the content hash of an item whose vector is of unknown origin, so no job reuses the vector."""
SHOWN = 10  # row numbers in a message

TEXTS = ("modality", "uri", "text", "content_hash", "image_hash")
NUMBERS = ("width", "height")
OWN = (*TEXTS, *NUMBERS, "thumbnail", "indexed_at", *TEXT_COLUMNS)
REQUIRED = ("modality", "uri", "content_hash", "indexed_at", "metadata")

Mask = NDArray[np.bool_]


def import_parquet(store: Store, path: str | Path, name: str) -> Imported:
    """Upsert the rows of a Parquet file; see `import_rows`."""
    return import_rows(store, of_parquet(path), name)


def import_rows(store: Store, rows: Rows, name: str, space: Mapping[str, Any] | None = None) -> Imported:
    """Upsert rows that have vectors, in commits of bounded size; repeating it changes nothing.

    An export brings its space, and creates the collection if needed. Any other rows need an id, a vector, and a text
    or a uri each, and a space that the caller vouches for: `space`, or that of the existing collection. Their vectors
    are normalized to unit length, and their other columns become metadata.

    Raises:
        StorageError: they cannot be read, or have columns or values that cannot be stored (all are named).
        SpaceMismatch: they are of another space than the collection.
        Locked: another writer has the collection.
    """
    layout = _layout(rows)
    if space is not None and layout.space is not None:
        check_same(rows.name, layout.space, space)
    space = layout.space or space
    existing = _existing(store, name, rows, space)
    kinds = metadata_kinds(existing.schema()) if existing else {}
    dimension = existing.dimension if existing else int((space or {})["dimension"])
    checked = _checked(rows, layout, dimension, kinds, name)
    target = existing or store.open_or_create(name, space or {})
    added = updated = unchanged = 0
    with target.writing():
        for items in checked:
            changed = _changed(target, items)
            count = target.upsert(changed)
            added, updated = added + count.added, updated + count.updated
            unchanged += len(items) - len(changed)
        if added + updated:
            target.maintain()
    return Imported(collection=name, added=added, updated=updated, unchanged=unchanged)


def read_items(rows: Rows, space: Mapping[str, Any], kinds: Mapping[str, Kind], name: str) -> Iterator[list[Item]]:
    """The items of rows, in batches of bounded size, for a collection that is elsewhere.

    Args:
        space, kinds: of the collection, and of its metadata keys.
        name: the collection's, for messages.

    Raises:
        StorageError, SpaceMismatch: as `import_rows`, before the first batch.
    """
    layout = _layout(rows)
    if layout.space is not None:
        check_same(name, space, layout.space)
    return _checked(rows, layout, int(space["dimension"]), kinds, name)


def _checked(rows: Rows, layout: _Layout, dimension: int, kinds: Mapping[str, Kind], name: str) -> Iterator[list[Item]]:
    """The items, once every row has been checked."""
    wrong = [
        f"column {key!r} holds a {kind}, but in collection {name!r} it is a {kinds[key]}"
        for key, kind in layout.metadata.items()
        if kinds.get(key, kind) != kind
    ]
    if wrong:
        raise StorageError(f"{rows.name}: {'; '.join(wrong)}; rename or convert what differs")
    size = max(1, min(CHUNK, CHUNK_NUMBERS // dimension))
    _check_rows(rows, layout, dimension, size)
    return (
        list({item.id: item for item in _items(batch, dimension, layout, rows)}.values())
        for batch in rows.read(layout.columns, size)
    )


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How a file is read.

    space: that it was exported with; None: the caller vouches for the collection it goes to.
    whole: it has every column of a collection, so rows are taken as they are.
    metadata: the columns that become metadata, with their kinds, where it is not whole.
    """

    space: dict[str, Any] | None
    whole: bool
    columns: tuple[str, ...]
    metadata: Mapping[str, Kind]


def _layout(rows: Rows) -> _Layout:
    schema = rows.schema
    written = (schema.metadata or {}).get(SPACE_KEY)
    whole = written is not None or set(ITEM_COLUMNS) <= set(schema.names)
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    wrong = [f"there are two columns {name!r}" for name in twice]
    needed = [*ITEM_COLUMNS, "thumbnail", "vector"] if written is not None else ["id", "vector"]
    absent = [f"column {name!r} is missing" for name in needed if name not in schema.names]
    if not whole and not {"text", "uri"} & set(schema.names):
        absent.append("neither 'text' nor 'uri' is there, expected one of the two")
    if absent and not whole:
        absent.append(f"if one has another name, say which (--map vector=COLUMN); there are {', '.join(schema.names)}")
    wrong += absent
    own = ("id", *OWN, "vector", *(["metadata"] if whole else []))
    ignored = (PANDAS, META, REST) if whole else (PANDAS,)
    others = [name for name in schema.names if name not in own and not name.startswith(ignored)]
    if whole and others:
        wrong.append(f"columns {', '.join(map(repr, others))} are not a collection's")
    read = [name for name in schema.names if name in own or (name in others and not whole)]
    wrong += [found for one in schema if one.name in read and (found := _wrong_type(one, one.name in own))]
    if wrong:
        raise StorageError(
            f"{rows.name}: {'; '.join(wrong)}; correct them, or leave such columns out (--without COLUMN)"
        )
    try:
        space = None if written is None else checked_space(json.loads(written))
    except (ValueError, AttributeError, BadSpace) as error:
        raise StorageError(f"{rows.name}: the space written in it cannot be read ({error}); export it again") from error
    kinds = {name: metadata_kind(schema.field(name).type) for name in others}
    return _Layout(
        space=space,
        whole=whole,
        columns=tuple(read),
        metadata={name: kind for name, kind in kinds.items() if kind},
    )


_TYPES: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {
    "id": ("strings or whole numbers", lambda kind: is_text(kind) or pa.types.is_integer(kind)),
    "vector": (
        "lists of float16, float32 or float64",
        lambda kind: is_list(kind) and pa.types.is_floating(kind.value_type),
    ),
    **dict.fromkeys((*TEXTS, "metadata", "image_text"), ("strings", is_text)),
    IMAGE_WORDS: (f"lists of {WORD}", lambda kind: is_list(kind) and kind.value_type == WORD),
    **dict.fromkeys(NUMBERS, ("whole numbers", pa.types.is_integer)),
    "thumbnail": ("bytes", lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind)),
    "indexed_at": ("times", pa.types.is_timestamp),
}


def _wrong_type(field: pa.Field, own: bool) -> str | None:
    """What is wrong with the type of a column, or None."""
    kind, name = plain_type(field.type), field.name
    nothing = pa.types.is_null(kind) and name not in ("id", "vector")
    if own:
        expected, fits = _TYPES[name]
        return None if fits(kind) or nothing else f"column {name!r} is {kind}, expected {expected}"
    if not KEY.fullmatch(name):
        return (
            f"column {name!r} cannot be a metadata key, expected a letter or '_' followed by at most 62 letters, "
            "digits or '_'"
        )
    if metadata_kind(kind) is None and not nothing:
        return (
            f"column {name!r} is {kind}, which metadata cannot be: expected strings, numbers, bools, times or "
            "lists of strings"
        )
    return None


def _existing(store: Store, name: str, rows: Rows, space: Mapping[str, Any] | None) -> Collection | None:
    """The collection, of the right space; None if it is to be created."""
    try:
        existing = store.open(name)
    except CollectionNotFound as error:
        if space is not None:
            return None
        raise StorageError(
            f"{rows.name}: is not one of our exports, so it does not say which model and view its vectors are of, and "
            f"there is no collection {name!r} to go by; name the model with --model, as for oneword collections create "
            f"{name} --model MODEL (vectors:NAME:DIMENSIONS for a model that Oneword does not have)"
        ) from error
    if space is not None:
        check_same(name, existing.space, space)
    return existing


def _check_rows(rows: Rows, layout: _Layout, dimension: int, size: int) -> None:
    """Check every row before any is stored, `size` at a time."""
    wrong: dict[str, list[int]] = {}
    start, seen = 0, set[int]()
    expected = ["id", "vector", *(REQUIRED if layout.whole else ("modality", "text", "uri"))]
    columns = [name for name in expected if name in layout.columns]
    for batch in rows.read(columns, size):
        complaints = _complaints(batch, layout, dimension) | {"an id that is given before": _repeated(batch, seen)}
        for complaint, mask in complaints.items():
            if mask.any():
                wrong.setdefault(complaint, []).extend((np.flatnonzero(mask) + start).tolist())
        start += batch.num_rows
    if wrong:
        listed = "; ".join(f"{complaint} in {_listed(places)}" for complaint, places in wrong.items())
        raise StorageError(
            f"{rows.name}: {listed}, counted from 0; nothing was imported: correct these rows or leave them out"
        )


def _listed(rows: list[int]) -> str:
    more = ", ..." if len(rows) > SHOWN else ""
    return f"{len(rows):,} rows ({', '.join(map(str, rows[:SHOWN]))}{more})"


def _complaints(batch: pa.RecordBatch, layout: _Layout, dimension: int) -> dict[str, Mask]:
    """Each complaint with the rows it applies to: bool (n,)."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    complaints = {"no id": np.array([one in (None, "") for one in columns["id"].to_pylist()], dtype=bool)}
    complaints |= _wrong_vectors(columns["vector"], dimension, unit=layout.space is not None)
    if layout.whole:
        complaints |= {f"no {name}": _nulls(columns[name]) for name in REQUIRED}
        texts = columns["metadata"].to_pylist()
        complaints["metadata that is not a JSON object"] = np.array(
            [not _is_metadata(one) for one in texts], dtype=bool
        )
    else:
        neither = [_nulls(columns[name]) for name in ("text", "uri") if name in columns]
        complaints["neither text nor uri"] = np.logical_and.reduce(neither)
    if "modality" in columns:
        names = columns["modality"].to_pylist()
        complaints["a modality other than image and text"] = np.array(
            [one not in (None, "image", "text") for one in names], dtype=bool
        )
    return complaints


def _repeated(batch: pa.RecordBatch, seen: set[int]) -> Mask:
    """Rows whose id was seen before; ids are remembered by 64 bits of a hash each."""
    mask = np.zeros(batch.num_rows, dtype=bool)
    for row, one in enumerate(batch.column("id").to_pylist()):
        key = hash(str(one))
        mask[row] = key in seen
        seen.add(key)
    return mask


def _wrong_vectors(column: pa.Array, dimension: int, *, unit: bool) -> dict[str, Mask]:
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    whole = lengths == dimension
    vectors, holed = np.zeros((len(column), dimension)), np.zeros(len(column), dtype=bool)
    if whole.any():
        filtered = column.filter(pa.array(whole))
        vectors[whole] = _matrix(filtered, dimension)
        holed[whole] = _nulls(filtered.flatten()).reshape(-1, dimension).any(axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    finite = whole & ~holed & np.isfinite(norms)
    return {
        "no vector": lengths == -1,
        f"a vector of other than {dimension} numbers": ~whole & (lengths != -1),
        "NaN, infinity or null in the vector": whole & ~finite,
        "a vector of zeros": finite & (norms == 0),
        "a vector not of length 1": finite & (norms > 0) & (np.abs(norms - 1) > UNIT_TOLERANCE) & unit,
    }


def _nulls(column: pa.Array) -> Mask:
    mask: Mask = pc.is_null(column).to_numpy(zero_copy_only=False)
    return mask


def _is_metadata(text: Any) -> bool:
    try:
        _ = text is None or loads(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def _matrix(column: pa.Array, dimension: int) -> NDArray[np.float64]:
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    return numbers.astype(np.float64).reshape(len(column), dimension)  # type: ignore[no-any-return]


def _items(batch: pa.RecordBatch, dimension: int, layout: _Layout, rows: Rows) -> Iterator[Item]:
    """The items of checked rows. Vectors of length 1 keep every bit."""
    given = _matrix(batch.column("vector"), dimension)
    norms = np.linalg.norm(given, axis=1, keepdims=True)
    given /= np.where(np.abs(norms - 1) > UNIT_TOLERANCE, norms, 1.0)
    columns = {name: _values(batch.column(name)) for name in layout.columns if name != "vector"}
    for row, vector in zip(zip(*columns.values(), strict=True), given.astype(np.float32), strict=True):
        fields = dict(zip(columns, row, strict=True))
        fields["id"] = str(fields["id"])
        if IMAGE_WORDS in fields:
            fields[IMAGE_WORDS] = words_of(fields[IMAGE_WORDS])
        if layout.whole:
            yield Item(**{**fields, "metadata": loads(fields["metadata"]), "vector": vector})
        else:
            yield _foreign_item(fields, vector, layout, rows)


def _foreign_item(fields: dict[str, Any], vector: NDArray[np.float32], layout: _Layout, rows: Rows) -> Item:
    """The item of a row that has at least an id, a vector, and a text or a uri; the rest is made up."""
    text = fields.get("text")
    uri = fields.get("uri") or f"{rows.prefix}{quote(fields['id'])}"
    modality = fields.get("modality") or rows.modality or ("image" if text is None else "text")
    made = json.dumps([modality, uri, text]).encode() + vector.astype(np.float16).tobytes()
    own: dict[str, Any] = {name: value for name, value in fields.items() if name == "id" or name in OWN}
    content_hash = IMPORTED + (fields.get("content_hash") or hashlib.sha256(made).hexdigest())
    own |= {"uri": uri, "modality": modality, "vector": vector, "content_hash": content_hash}
    metadata = {name: value for name in layout.metadata if (value := _filled(fields[name])) is not None}
    return Item(**own, metadata=metadata)


def _values(column: pa.Array) -> list[Any]:
    """A column as Python values: times in UTC and to the microsecond, decimals as floats."""
    kind = plain_type(column.type)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return list(column.cast(TIME, safe=False).to_pylist())
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return list(column.cast(pa.float64()).to_pylist())
    return list(column.to_pylist())


def _filled(value: Any) -> Any:
    """None for the NaN that some tools write for nothing; a list without its nulls."""
    if isinstance(value, list):
        return [one for one in value if one is not None]
    return value if value == value else None  # only NaN differs from itself


def _changed(target: Collection, items: Sequence[Item]) -> list[Item]:
    """The items that are not stored as they are; an item without a time takes the time it was stored at."""
    hashes = target.content_hashes(item.id for item in items)
    stored = target.get(
        (item.id for item in items if hashes.get(item.id) == item.content_hash), vectors=True, words=True
    )
    return [item for item in items if item.id not in stored or not _same(item, stored[item.id])]


def _same(item: Item, stored: Item) -> bool:
    halves = [np.asarray(one.vector, np.float16).tobytes() for one in (item, stored)]
    return halves[0] == halves[1] and replace(item, indexed_at=item.indexed_at or stored.indexed_at) == stored
