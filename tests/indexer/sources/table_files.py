"""Writers of one list of rows as a table of each format, and the entries that a table gives."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.indexer.entry import Entry
from oneword.indexer.options import SourceOptions
from oneword.indexer.sources import open_sources
from oneword.storage.metadata import KEY

Rows = Sequence[Mapping[str, Any]]


def entries(*paths: str | Path, **options: Any) -> list[Entry]:
    (source,) = open_sources(paths, SourceOptions(**options))
    found = list(source.entries())
    assert source.total == len(found) or source.total is None
    assert found == list(source.entries()), "the same from the start, each time"
    for one in found:
        (one.id + one.uri + one.origin + (one.problem.reason if one.problem else "")).encode()
        assert all(KEY.fullmatch(key) for key in one.metadata)
    return found


def columns_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns_of(rows), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path: Path, rows: Rows) -> None:
    write_csv(path, rows, "\t")


def write_json_lines(path: Path, rows: Rows) -> None:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    lines = [json.dumps({key: plain(value) for key, value in row.items()}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))


def table_of(rows: Rows) -> pa.Table:
    return pa.table({name: [row.get(name) for row in rows] for name in columns_of(rows)})


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(table_of(rows), path, row_group_size=3)


def write_file(path: Path, rows: Rows) -> None:
    table = table_of(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def write_stream(path: Path, rows: Rows) -> None:
    table = table_of(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "t.csv": write_csv,
    "t.tsv": write_tsv,
    "t.jsonl": write_json_lines,
    "t.parquet": write_parquet,
    "t.arrow": write_file,
    "s.feather": write_stream,
}
