"""A parquet file into a collection, in commits of bounded size; doing it again changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oneword.storage.errors import BadFile, CollectionNotFound
from oneword.storage.item import Item
from oneword.storage.metadata import loads
from oneword.storage.parquet.checking import check, matrix
from oneword.storage.parquet.columns import NUMBERS, TEXTS, Layout, layout, values
from oneword.storage.rules import UNIT_TOLERANCE
from oneword.storage.schema import metadata_kinds
from oneword.storage.space import check_same

if TYPE_CHECKING:
    from oneword.storage.collection import Collection
    from oneword.storage.store import Store

CHUNK = 4096
"""Most rows in one commit; what a killed import repeats at the worst, and what it has in memory."""
CHUNK_NUMBERS = 2**22
"""Most vector numbers in one commit (32 MB as float64)."""

IMPORTED = "import:"
"""Before the content hash of an item whose vector is of unknown origin: no job takes such a vector for other inputs."""

OWN = (*TEXTS, *NUMBERS, "thumbnail", "indexed_at")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did. Each row is `added`, `updated` or `unchanged`: it was there, the same to the bit."""

    collection: str
    added: int
    updated: int
    unchanged: int

    @property
    def rows(self) -> int:
        """Rows in the file, of which several of one id count once if they stand together."""
        return self.added + self.updated + self.unchanged


def load(store: Store, path: Path, name: str) -> Imported:
    """See `Store.import_parquet`."""
    file = path.expanduser().absolute()
    try:
        source = pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadFile(f"{file}: cannot be read as parquet ({reason}); expected such a file as an export is") from error
    with source:
        found = layout(file, source.schema_arrow)
        there = _existing(store, name, file, found)
        dimension = there.dimension if there else int((found.space or {})["dimension"])
        rows = max(1, min(CHUNK, CHUNK_NUMBERS // dimension))
        if there:
            _check_kinds(file, found, there)
        check(file, source, found, dimension, rows=rows)
        target = there or store.open_or_create(name, found.space or {})
        added = updated = unchanged = 0
        with target.writing():
            for batch in source.iter_batches(batch_size=rows, columns=list(found.columns)):
                unit = _unit(batch, dimension)
                items = _whole_items(batch, unit, found) if found.whole else _foreign_items(batch, unit, found, file)
                items = list({item.id: item for item in items}.values())
                changed = _changed(target, items)
                count = target.upsert(changed)
                added, updated = added + count.added, updated + count.updated
                unchanged += len(items) - len(changed)
            if added + updated:
                target.optimize()
    return Imported(collection=name, added=added, updated=updated, unchanged=unchanged)


def _existing(store: Store, name: str, file: Path, found: Layout) -> Collection | None:
    """The collection, of the right space; None if it is still to be made, which only an export can."""
    try:
        there = store.open(name)
    except CollectionNotFound as error:
        if found.space is not None:
            return None
        raise BadFile(
            f"{file}: is no export of ours, so it does not say which model and view its vectors are of, and there is "
            f"no collection {name!r} to go by; make it first: oneword collections create {name} --model MODEL"
        ) from error
    if found.space is not None:
        check_same(name, there.space, found.space)
    return there


def _check_kinds(file: Path, found: Layout, target: Collection) -> None:
    """A metadata key has one kind in a collection."""
    kinds = metadata_kinds(target.schema())
    wrong = [
        f"column {name!r} holds a {kind}, but in collection {target.name!r} it is a {kinds[name]}"
        for name, kind in found.metadata.items()
        if kinds.get(name, kind) != kind
    ]
    if wrong:
        raise BadFile(f"{file}: {'; '.join(wrong)}; rename or convert what differs")


def _whole_items(batch: pa.RecordBatch, unit: NDArray[np.float32], found: Layout) -> list[Item]:
    """Items of rows that have every column of a collection."""
    columns: dict[str, list[Any]] = {name: values(batch.column(name)) for name in found.columns if name != "vector"}
    return [
        Item(**{**fields, "id": str(fields["id"]), "metadata": loads(fields["metadata"]), "vector": vector})
        for fields, vector in zip(_rows(columns), unit, strict=True)
    ]


def _foreign_items(batch: pa.RecordBatch, unit: NDArray[np.float32], found: Layout, file: Path) -> list[Item]:
    """Items of rows that have at least an id, a vector, and a text or a uri; what they lack is made up."""
    columns: dict[str, list[Any]] = {name: values(batch.column(name)) for name in found.columns if name != "vector"}
    items = []
    for fields, vector in zip(_rows(columns), unit, strict=True):
        metadata = {name: _filled(fields[name]) for name in found.metadata}
        item_id, text = str(fields["id"]), fields.get("text")
        uri = fields.get("uri") or f"{file.as_uri()}#{quote(item_id)}"
        modality = fields.get("modality") or ("image" if text is None else "text")
        made = json.dumps([modality, uri, text]).encode() + vector.astype(np.float16).tobytes()
        given = {name: value for name, value in fields.items() if name in OWN}
        items.append(
            Item(
                **{
                    **given,
                    "id": item_id,
                    "uri": uri,
                    "modality": modality,
                    "content_hash": IMPORTED + (fields.get("content_hash") or hashlib.sha256(made).hexdigest()),
                    "metadata": {name: value for name, value in metadata.items() if value is not None},
                    "vector": vector,
                }
            )
        )
    return items


def _unit(batch: pa.RecordBatch, dimension: int) -> NDArray[np.float32]:
    """Vectors as they are to be stored, float32 (n, d): those of length 1 keep every bit."""
    given = matrix(batch.column("vector"), dimension)
    norms = np.linalg.norm(given, axis=1, keepdims=True)
    given /= np.where(np.abs(norms - 1) > UNIT_TOLERANCE, norms, 1.0)
    return given.astype(np.float32)


def _changed(target: Collection, items: Sequence[Item]) -> list[Item]:
    """Those that are not there, or not the same; without a time of its own, an item takes the one it was stored at."""
    hashes = target.content_hashes(item.id for item in items)
    there = target.get((item.id for item in items if hashes.get(item.id) == item.content_hash), vectors=True)
    return [item for item in items if item.id not in there or not _same(item, there[item.id])]


def _same(item: Item, stored: Item) -> bool:
    halves = [np.asarray(one.vector, np.float16).tobytes() for one in (item, stored)]
    return halves[0] == halves[1] and replace(item, indexed_at=item.indexed_at or stored.indexed_at) == stored


def _rows(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _filled(value: Any) -> Any:
    """A value without what stands for none: nulls, those in lists too, and the NaN that some tools write."""
    if isinstance(value, list):
        return [one for one in value if one is not None]
    return value if value == value else None  # NaN alone is not itself
