"""Sentence pairs and triples, read from CSV, JSONL or Parquet."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.errors import EngineError

COLUMNS = (
    ("sent0", "sent1", "hard_neg"),  # SimCSE's nli_for_simcse.csv (arXiv 2104.08821)
    ("anchor", "positive", "negative"),  # sentence-transformers' names
)
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}


class BadPairs(EngineError):
    """A file of pairs that cannot be read, or lacks something."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Sentences that mean the same, and perhaps for each pair one that does not.

    Args:
        anchors, positives: as many.
        negatives: as many, or None for pairs without.
    """

    anchors: Sequence[str]
    positives: Sequence[str]
    negatives: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.anchors)

    def digest(self) -> str:
        """SHA-256 (hex) over all sentences in their order."""
        sha = hashlib.sha256()
        for row in self.rows(range(len(self))):
            sha.update(json.dumps(row).encode())
        return sha.hexdigest()

    def rows(self, indices: Sequence[int]) -> list[tuple[str, ...]]:
        """(anchor, positive) or (anchor, positive, negative) of each row."""
        columns = [self.anchors, self.positives] + ([self.negatives] if self.negatives is not None else [])
        return [tuple(column[i] for column in columns) for i in indices]


def order(count: int, seed: int, step: int, batch: int) -> NDArray[np.int64]:
    """Which rows a step sees: each pass over the data is its own shuffle, and a batch may span two of them.

    It depends on its arguments alone, so a run that goes on from a checkpoint sees what the unbroken one sees.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    passes, within = np.divmod(places, count)
    rows = np.empty(batch, dtype=np.int64)
    for number in np.unique(passes):
        shuffled = np.random.default_rng([seed, number]).permutation(count)
        rows[passes == number] = shuffled[within[passes == number]]
    return rows


def read_pairs(path: Path | str, columns: Sequence[str] | None = None) -> Pairs:
    """Reads a file; its name's ending says the format.

    Args:
        columns: the names of two or three columns; by default `sent0, sent1[, hard_neg]` or
            `anchor, positive[, negative]`.

    Raises:
        BadPairs: no such file, format or column; or a row whose sentence is empty or no string.
    """
    path = Path(path)
    table = _table(path)
    names = _chosen(path, table.column_names, columns)
    doubled = [name for name in names if table.column_names.count(name) > 1]
    if doubled:
        raise BadPairs(f"{path}: has {doubled[0]} more than once: expected each column once")
    read = [_sentences(path, name, table[name]) for name in names]
    if not read[0]:
        raise BadPairs(f"{path}: no rows: expected at least one pair")
    return Pairs(anchors=read[0], positives=read[1], negatives=read[2] if len(read) > 2 else None)


def _table(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise BadPairs(f"{path}: no such file: expected sentence pairs in .csv, .tsv, .jsonl or .parquet")
    try:
        match _FORMATS.get(path.suffix.lower()):
            case "csv" | "tsv" as kind:
                parse = csv.ParseOptions(
                    delimiter="\t" if kind == "tsv" else ",",
                    quote_char=False if kind == "tsv" else '"',  # in tab-separated text a quotation mark is only that
                    newlines_in_values=kind == "csv",
                )
                names = csv.open_csv(path, parse_options=parse).schema.names
                as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))  # "12" is a sentence too
                return csv.read_csv(path, parse_options=parse, convert_options=as_text)
            case "jsonl":
                rows = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
                names = sorted({name for row in rows for name in row})
                return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
            case "parquet":
                return parquet.read_table(path)
    except (pa.ArrowException, OSError, ValueError, TypeError, AttributeError) as error:
        raise BadPairs(f"{path}: cannot be read: {error}") from error
    raise BadPairs(f"{path}: unknown format {path.suffix!r}: expected .csv, .tsv, .jsonl or .parquet")


def _chosen(path: Path, there: Sequence[str], requested: Sequence[str] | None) -> Sequence[str]:
    if requested is not None:
        if len(requested) not in (2, 3) or len(set(requested)) < len(requested) or not set(requested) <= set(there):
            raise BadPairs(f"{path}: columns {', '.join(requested)}: expected two or three of {', '.join(there)}")
        return requested
    for names in COLUMNS:
        if set(names[:2]) <= set(there):
            return names if names[2] in there else names[:2]
    raise BadPairs(
        f"{path}: has columns {', '.join(there)}: expected {' or '.join(', '.join(names) for names in COLUMNS)} "
        "(the third is optional), or name yours with --columns"
    )


def _sentences(path: Path, name: str, column: Any) -> list[str]:
    values: list[Any] = column.to_pylist()
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str) or not value.strip():
            raise BadPairs(f"{path}: row {row} has {name} = {value!r}: expected a sentence; correct or drop that row")
    return values
