"""Writes from many processes: each writes files of rows (fragments), which one writer commits together.

The only file that talks to pylance, Lance's own package, on which LanceDB is built: LanceDB cannot write a file without
committing it. LanceDB 0.40 contains Lance 13.0. pylance 13.0.0 and 14.0.2 write files that it reads, and read its files
(`tests/storage/test_fragments.py`), if they have the format version of the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from oneword.storage.errors import BadItem, StorageError
from oneword.storage.item import Item
from oneword.storage.location import Location
from oneword.storage.rules import Rules
from oneword.storage.schema import to_arrow
from oneword.storage.table import translated_errors


@dataclass(frozen=True, kw_only=True)
class FragmentTarget:
    """What workers need to know of a collection's table; can be pickled. Contains the store's credentials, if any.

    uri: of the table. arrow: its schema as Arrow IPC. format: the version of Lance's file format.
    """

    uri: str
    arrow: bytes
    format: str
    storage_options: Mapping[str, str] = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        """The table's schema when the target was created."""
        return pa.ipc.read_schema(pa.py_buffer(self.arrow))

    def check(self, items: Iterable[Item]) -> dict[str, str]:
        """The ids of items that `write_fragments` would refuse, with reasons: those of `Collection.check`, and items
        with metadata keys that the collection lacks (see `Collection.declare`)."""
        return Rules(self.schema, closed=True).refused({item.id: item for item in items}.values())


def target(uri: str, schema: pa.Schema, storage_options: Mapping[str, str]) -> FragmentTarget:
    """The target of the table at `uri`.

    Raises:
        StorageError: pylance is not installed.
        StoreUnavailable: the table cannot be read.
    """
    with _doing(uri, "read the table"):
        dataset = _lance().dataset(uri, storage_options=dict(storage_options) or None)
        arrow = schema.serialize().to_pybytes()
        return FragmentTarget(
            uri=uri, arrow=arrow, format=dataset.data_storage_version, storage_options=dict(storage_options)
        )


def write_fragments(target: FragmentTarget, items: Sequence[Item]) -> list[str]:
    """Write items as files, which are invisible until `Collection.commit_fragments` gets what this returns.

    Needs no lock and reads no other rows, so any number of processes may call it. Files that are never committed are
    removed by `Collection.sweep`, or by any cleanup after 7 days.

    Raises:
        BadItem: an item cannot be stored, has a new metadata key or an id that is given twice; nothing is written.
        StorageError: pylance is not installed.
        StoreUnavailable: the store cannot be written.
    """
    lance, schema = _lance(), target.schema
    rules, ids = Rules(schema, closed=True), set[str]()
    for item in items:
        rules.admit(item)
        if item.id in ids:
            raise BadItem(f"item {item.id!r} is given twice, expected once; leave one out")
        ids.add(item.id)
    if not items:
        return []
    with _doing(target.uri, "write"):
        written = lance.fragment.write_fragments(
            to_arrow(items, schema, datetime.now(UTC)),
            target.uri,
            schema=schema.remove_metadata(),
            mode="append",
            data_storage_version=target.format,
            storage_options=dict(target.storage_options) or None,
            enable_stable_row_ids=False,  # see storage/database.py
        )
        return [json.dumps(one.to_json()) for one in written]


def commit(target: FragmentTarget, fragments: Sequence[str]) -> int:
    """Append fragments that are not committed yet, in one commit. Returns the number of rows. Only under the lock.

    Raises:
        StorageError: one is malformed, has another format version, or its file is missing; then none is.
    """
    lance, options = _lance(), dict(target.storage_options) or None
    given = {_files(text): text for text in fragments}
    with _doing(target.uri, "commit"):
        dataset = lance.dataset(target.uri, storage_options=options)
        there = {file.path for one in dataset.get_fragments() for file in one.metadata.files}
        new = [
            lance.fragment.FragmentMetadata.from_json(text) for files, text in given.items() if not there & set(files)
        ]
        if not new:
            return 0
        lists = target.format == "2.0"
        numbers = {field.name(): _numbers(field, lists) for field in dataset.lance_schema.fields()}
        for one in new:
            _check(one, target, numbers)
        append = lance.LanceOperation.Append(new)
        lance.LanceDataset.commit(target.uri, append, read_version=dataset.version, storage_options=options)
        return sum(one.physical_rows for one in new)


def _files(fragment: str) -> tuple[str, ...]:
    try:
        files = tuple(file["path"] for file in json.loads(fragment)["files"])
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{fragment[:80]!r} is no fragment: expected what write_fragments returned") from error
    return files


def _numbers(field: Any, lists: bool) -> list[int]:
    """The numbers by which files refer to a column, in order: of a list, its items' and, before version 2.1, its own.

    After a restore Lance reuses a number for another column, as which an older file would then be read.
    """
    inner = [number for child in field.children() for number in _numbers(child, lists)]
    return [field.id(), *inner] if lists or not inner else inner


def _check(fragment: Any, target: FragmentTarget, numbers: Mapping[str, list[int]]) -> None:
    """Check a fragment: LanceDB would commit anything, and fail to read it."""
    from lance.file import LanceFileReader

    for file in fragment.files:
        version = f"{file.file_major_version}.{file.file_minor_version}"
        options = dict(target.storage_options) or None
        try:
            found = LanceFileReader(f"{target.uri}/data/{file.path}", storage_options=options).metadata()
        except (OSError, ValueError) as error:
            raise StorageError(
                f"fragment {file.path} cannot be read: {error}; if a cleanup has removed it, write it again"
            ) from error
        columns = [number for name in found.schema.names for number in numbers.get(name, [-1])]
        same = (version, found.num_rows, columns) == (target.format, fragment.physical_rows, file.fields)
        if not same or any(column != target.schema.field(column.name) for column in found.schema):
            raise StorageError(
                f"fragment {file.path} ({found.num_rows} rows, format {version}) does not fit the table (format "
                f"{target.format}) as it is now; write it again, for the target that the collection gives now"
            )


def _lance() -> Any:
    try:
        import lance
        import lance.fragment
    except ModuleNotFoundError as error:
        raise StorageError(
            'writing from many processes needs pylance, which is not installed: pip install "oneword[ray]"'
        ) from error
    return lance


def _doing(uri: str, doing: str) -> Any:
    return translated_errors(Location.of(uri), doing)
