"""Files in which others keep vectors: matrices beside tables, FAISS indexes, LanceDB tables, Qdrant's points."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oneword.storage.config import Format
from oneword.storage.errors import StorageError
from oneword.storage.rows import Rows, of_arrow_file, of_lance, of_memory, of_parquet

LARGEST = 2**28
"""Most bytes of a JSON document of Qdrant's points, which is read whole: 256 MiB. A file may have many lines."""

FOREIGN_ID = "oneword_id"
"""Key of a Qdrant payload: an item's id, where the point has another because Qdrant takes numbers and UUIDs only."""


def open_rows(source: Any, kind: Format = "auto", *, beside: str | Path | None = None) -> Rows:
    """The rows of a path, or of what is in memory (see `of_memory`).

    Args:
        beside: of a matrix or a FAISS index, a file with the facts of its vectors, in their order: Parquet, an `.npy`
            of ids, or a text of one id a line. By default the Parquet file of the same name, if there is one.

    Raises:
        StorageError: they cannot be read.
    """
    if not isinstance(source, str | Path):
        return of_memory(source)
    path = Path(source).expanduser().absolute()
    if kind == "auto":
        kind = _guessed(path)
    match kind:
        case "npy" | "faiss":
            matrix = _of_npy(path) if kind == "npy" else _of_faiss(path)
            facts = Path(beside).expanduser() if beside else path.with_suffix(".parquet")
            return _joined(path, [(matrix, _facts(facts) if beside or facts.exists() else None)])
        case "clip-retrieval":
            return _of_clip_retrieval(path)
        case "lancedb":
            return _of_lancedb(path)
        case "qdrant":
            return _of_points(path)
    return of_arrow_file(path) if kind == "arrow" else of_parquet(path)


_BY_NAME: Mapping[str, Format] = {
    ".parquet": "parquet",
    ".npy": "npy",
    ".lance": "lancedb",
    **dict.fromkeys((".arrow", ".feather"), "arrow"),
    **dict.fromkeys((".faiss", ".index"), "faiss"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "qdrant"),
}


def _guessed(path: Path) -> Format:
    if (path / "img_emb").is_dir() or (path / "text_emb").is_dir():
        return "clip-retrieval"
    if path.suffix in _BY_NAME or not path.exists():
        return _BY_NAME.get(path.suffix, "parquet")
    if path.is_dir():
        return "parquet"
    raise StorageError(f"{path}: its name says no format; name it with --from: {', '.join(get_args(Format)[1:])}")


@dataclass(frozen=True, kw_only=True)
class _Matrix:
    """Vectors by number. slice: of these numbers, float (n, d). ids: of the vectors, if it has some, int64 (n,)."""

    count: int
    dimension: int
    slice: Callable[[int, int], NDArray[Any]]
    ids: NDArray[np.int64] | None = None


def _of_npy(path: Path) -> _Matrix:
    try:
        matrix = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read as an array of NumPy ({error})") from error
    if matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise StorageError(
            f"{path}: is {matrix.dtype} of shape {matrix.shape}; expected floats of shape (rows, numbers)"
        )
    return _Matrix(
        count=len(matrix), dimension=matrix.shape[1], slice=lambda start, stop: np.asarray(matrix[start:stop])
    )


def _of_faiss(path: Path) -> _Matrix:
    """A FAISS index. One that compresses its vectors gives back what it kept of them."""
    try:
        import faiss
    except ImportError as error:
        raise StorageError(f'{path}: reading it needs FAISS: pip install "oneword[faiss]"') from error
    try:
        whole = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        ids, index = None, whole
        if isinstance(whole, faiss.IndexIDMap | faiss.IndexIDMap2):
            ids, index = faiss.vector_to_array(whole.id_map), faiss.downcast_index(whole.index)
        order = _order(faiss, index)
        if order is not None:
            ids = order if ids is None else ids[order]

        def vectors(start: int, stop: int, _owner: Any = whole) -> Any:  # the index is gone with its owner
            return (
                index.reconstruct_n(start, stop - start)
                if order is None
                else index.reconstruct_batch(order[start:stop])
            )

        vectors(0, min(1, whole.ntotal))
    except RuntimeError as error:
        reason = str(error).rpartition(": ")[2].strip() or error
        raise StorageError(f"{path}: its vectors cannot be read by FAISS ({reason})") from error
    return _Matrix(count=whole.ntotal, dimension=whole.d, slice=vectors, ids=ids)


def _order(faiss: Any, index: Any) -> NDArray[np.int64] | None:
    """The numbers by which the vectors of an inverted file are found, which it is prepared for; None: it is none."""
    if (lists := faiss.try_extract_index_ivf(index)) is None:
        return None
    lists.set_direct_map_type(faiss.DirectMap.Hashtable)
    held = [_ids_of(faiss, lists.invlists, number) for number in range(lists.nlist)]
    return np.sort(np.concatenate(held))


def _ids_of(faiss: Any, lists: Any, number: int) -> NDArray[np.int64]:
    size = lists.list_size(number)
    return faiss.rev_swig_ptr(lists.get_ids(number), size).copy() if size else np.empty(0, np.int64)


def _facts(path: Path) -> Rows:
    """The rows beside a matrix."""
    if path.suffix == ".parquet":
        return of_parquet(path)
    try:
        ids = np.load(path) if path.suffix == ".npy" else path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: the ids cannot be read ({error}); expected Parquet, .npy, or one id a line"
        ) from error
    return replace(of_memory(pa.table({"id": pa.array(ids)})), name=str(path))


def _of_clip_retrieval(path: Path) -> Rows:
    """What `clip-retrieval inference` wrote: `img_emb/img_emb_N.npy` and `metadata/metadata_N.parquet`.

    Its images' vectors if there are any, otherwise its texts'.
    """
    side = next((one for one in ("img_emb", "text_emb") if any((path / one).glob("*.npy"))), None)
    if side is None:
        raise StorageError(f"{path}: has no img_emb/*.npy and no text_emb/*.npy; expected a folder of clip-retrieval")
    parts = []
    for file in sorted((path / side).glob("*.npy"), key=_number):
        facts = path / "metadata" / f"metadata_{_number(file)[0]}.parquet"
        parts.append((_of_npy(file), of_parquet(facts) if facts.exists() else None))
    rows = _joined(path, parts)
    theirs = {"id": ("key", "image_path"), "uri": ("image_path", "url"), "text": ("caption",)}
    found = {ours: [name for name in names if name in rows.schema.names] for ours, names in theirs.items()}
    given = {ours: names[0] for ours, names in found.items() if names}
    return replace(rows.mapped(given), modality="image" if side == "img_emb" else "text")


def _number(file: Path) -> tuple[int, str]:
    found = re.search(r"(\d+)$", file.stem)
    return (int(found[1]) if found else 0, file.name)


def _joined(path: Path, parts: Sequence[tuple[_Matrix, Rows | None]]) -> Rows:
    """Matrices with the facts of their rows; a row whose facts have no id is called by its number."""
    facts = parts[0][1].schema if parts[0][1] is not None else pa.schema([])
    dimension = parts[0][0].dimension
    for matrix, beside in parts:
        if matrix.dimension != dimension:
            raise StorageError(
                f"{path}: has vectors of {dimension} and of {matrix.dimension} numbers; expected one length"
            )
        if not (beside.schema if beside is not None else pa.schema([])).equals(facts):
            raise StorageError(
                f"{path}: the facts beside its vectors have different columns; import the parts one by one"
            )
    own = [] if "id" in facts.names else [pa.field("id", pa.string())]
    kept = [field for field in facts if field.name != "vector"]
    schema = pa.schema([*own, *kept, pa.field("vector", pa.list_(pa.float32(), dimension))])

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        asked = [one for one in columns if one in facts.names and one != "vector"]
        for number, (matrix, beside) in enumerate(parts):
            start = 0
            for batch in _batches(matrix, beside, asked, rows):
                stop = start + batch.num_rows
                if stop > matrix.count:
                    raise _unequal(path, matrix, f"at least {stop:,}")
                made: dict[str, pa.Array] = {}
                if "vector" in columns:
                    numbers = np.asarray(matrix.slice(start, stop), np.float32)
                    made["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), dimension)
                if own:
                    ids = range(start, stop) if matrix.ids is None else matrix.ids[start:stop].tolist()
                    made["id"] = pa.array([f"{number}-{one}" if len(parts) > 1 else str(one) for one in ids])
                found = [made[one] if one in made else batch.column(one) for one in columns]
                yield pa.RecordBatch.from_arrays(found, names=list(columns))
                start = stop
            if start != matrix.count:
                raise _unequal(path, matrix, f"{start:,}")

    rows = Rows(name=str(path), schema=schema, read=read, prefix=f"{path.as_uri()}#")
    return rows if {"text", "uri"} & set(schema.names) else rows.mapped({"uri": "id"})


def _unequal(path: Path, matrix: _Matrix, rows: str) -> StorageError:
    return StorageError(
        f"{path}: has {matrix.count:,} vectors, and beside them facts of {rows}; expected one row for each vector, in "
        "the same order"
    )


def _batches(matrix: _Matrix, beside: Rows | None, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    if beside is not None:
        yield from beside.read(columns or beside.schema.names[:1], rows)
        return
    for start in range(0, matrix.count, rows):
        yield pa.record_batch({"row": np.arange(start, min(start + rows, matrix.count))})


def _of_lancedb(path: Path) -> Rows:
    """A table of LanceDB by its folder, `DATABASE/NAME.lance`, as it is now."""
    import lancedb

    try:
        table = lancedb.connect(path.parent).open_table(path.stem)
        table.checkout(table.version)
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(
            f"{path}: cannot be opened as a LanceDB table ({error}); expected DATABASE/NAME.lance"
        ) from error
    return replace(of_lance(table, str(path)), prefix=f"{path.as_uri()}#")


def _of_points(path: Path) -> Rows:
    """Qdrant's points, as its scroll returns them, with their payload and vectors: JSON, or a point or page a line.

    Payloads within payloads become keys joined by `_`, and a payload's `id` and `vector` become `payload_...`. Named
    vectors are columns `vector.NAME`, unless there is one.
    """
    kinds: dict[str, pa.DataType] = {}
    for number, point in enumerate(_points(path)):
        for name, value in point.items():
            kind = _arrow_kind(value)
            known = kinds.setdefault(name, kind)
            if kind == known or kind == pa.null():
                continue
            if known == pa.null() or {known, kind} == {pa.int64(), pa.float64()}:
                kinds[name] = pa.float64() if known != pa.null() else kind
            else:
                raise StorageError(
                    f"{path}: point {number} has {name!r} as {kind}, those before it as {known}; expected one kind, or "
                    f"leave it out (--without {name})"
                )
    schema = pa.schema(list(kinds.items()))

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        points, wanted = _points(path), pa.schema([schema.field(one) for one in columns])
        while some := list(islice(points, rows)):
            yield pa.RecordBatch.from_pylist([{one: point.get(one) for one in columns} for point in some], wanted)

    return Rows(name=str(path), schema=schema, read=read, prefix=f"{path.as_uri()}#")


def _points(path: Path) -> Iterator[dict[str, Any]]:
    for document in _documents(path):
        inner = document.get("result", document) if isinstance(document, Mapping) else document
        found = inner.get("points", [inner]) if isinstance(inner, Mapping) else inner
        for point in found if isinstance(found, list) else [found]:
            if not isinstance(point, Mapping) or "id" not in point:
                raise StorageError(
                    f"{path}: {str(point)[:80]!r} is not a point; expected objects of id, vector and payload, as "
                    "Qdrant's scroll returns them"
                )
            yield flat_point(point)


def _documents(path: Path) -> Iterator[Any]:
    """The JSON documents of a file: one a line, or a single one."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LARGEST), "")):
                if line.strip():
                    try:
                        document = json.loads(line)
                    except json.JSONDecodeError:
                        if number:
                            raise
                        break
                    yield document
            else:
                return
        if path.stat().st_size > LARGEST:
            raise StorageError(f"{path}: is one JSON document of more than {LARGEST:,} bytes; write a point a line")
        yield json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise StorageError(f"{path}: cannot be read as JSON ({getattr(error, 'strerror', None) or error})") from error


def flat_point(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point of Qdrant as columns: see `_of_points`."""
    payload = dict(point.get("payload") or {})
    columns: dict[str, Any] = {"id": str(payload.pop(FOREIGN_ID, point["id"]))}
    vector = point.get("vector")
    if isinstance(vector, Mapping) and len(vector) == 1:
        (vector,) = vector.values()
    columns |= (
        {f"vector.{name}": one for name, one in vector.items()} if isinstance(vector, Mapping) else {"vector": vector}
    )
    for name, value in _flat(payload):
        columns[f"payload_{name}" if name in ("id", "vector") else name] = value
    return columns


def _flat(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in payload.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}_{inner}", one) for inner, one in _flat(value))
        else:
            yield name, value


def _arrow_kind(value: Any) -> pa.DataType:
    """The Arrow type of a JSON value; of what cannot be metadata, one that is refused by name."""
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            return pa.list_(pa.string()) if value else pa.null()
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            return pa.list_(pa.float32())
        return pa.list_(pa.binary())
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return kinds.get(type(value), pa.null())
