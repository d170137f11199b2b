"""Versions of a collection, and tags that name them.

LanceDB refuses a cleanup that would remove a tagged version, instead of skipping it. But a cleanup skips the version at
which a branch starts. So during a cleanup tags are replaced by branches, and restored after it; tags are what is kept
in between, because a branch refers to its table by path, which a rename changes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from oneword.storage.errors import StorageError, VersionNotFound
from oneword.storage.table import Table

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
PIN = "pin"  # a branch that replaces a tag is called pin/RANDOM/TAG


@dataclass(frozen=True, kw_only=True)
class Version:
    """One commit: its number, its time (UTC), the number of items, and its tags."""

    version: int
    at: datetime
    items: int
    tags: tuple[str, ...]


def versions(table: Table) -> list[Version]:
    """The versions that are kept, oldest first."""
    names = tags(table)
    return [
        Version(
            version=one["version"],
            at=one["timestamp"].astimezone(UTC),
            items=int(one["metadata"]["total_rows"]),
            tags=tuple(sorted(name for name, version in names.items() if version == one["version"])),
        )
        for one in table.versions()
    ]


def age(table: Table, version: int) -> timedelta:
    """The age of an existing version."""
    made: datetime = next(one["timestamp"] for one in table.versions() if one["version"] == version)
    return datetime.now(UTC) - made.astimezone(UTC)


def tags(table: Table) -> dict[str, int]:
    """The version of each tag, by name; also while a cleanup has replaced them by branches."""
    # Twice, because a cleanup may end between the first two looks.
    found = {**table.tags(), **_pinned(table), **table.tags()}
    return dict(sorted(found.items()))


def tag(table: Table, name: str, version: int | None) -> int:
    """`Collection.tag`."""
    if not TAG.fullmatch(name) or name.endswith(".lock") or ".." in name or name.isdecimal():
        raise StorageError(
            f"tag {name!r} is not allowed: expected 1 to 63 of a-z, A-Z, 0-9, '.', '-' and '_', starting with a "
            "letter or digit, not only digits, without '..' and not ending in .lock; choose another name"
        )
    _settle(table)
    version = table.version() if version is None else resolve(table, version)
    there = table.tags().get(name)
    if there is not None and there != version:
        raise StorageError(
            f"tag {name!r} of collection {table.name!r} is version {there}, not {version}; "
            "remove it first, or choose another name"
        )
    if there is None:
        table.tag(name, version)
    return version


def untag(table: Table, name: str) -> None:
    """`Collection.untag`."""
    _settle(table)
    if name not in table.tags():
        raise VersionNotFound(name, table.name, [one["version"] for one in table.versions()], list(table.tags()))
    table.untag(name)


def resolve(table: Table, requested: int | str) -> int:
    """The number of an existing version, by number, by a number as text, or by tag.

    Raises:
        VersionNotFound: neither.
    """
    numbers, names = [one["version"] for one in table.versions()], tags(table)
    number = (
        names.get(requested, int(requested) if requested.isdecimal() else None)
        if isinstance(requested, str)
        else requested
    )
    if number is None or number not in numbers:
        raise VersionNotFound(requested, table.name, numbers, list(names))
    return number


@contextmanager
def kept(table: Table) -> Iterator[None]:
    """Let cleanups in a `with` block skip tagged versions. Only under the writer's lock."""
    _settle(table)
    names = table.tags()
    for name, version in names.items():
        table.branch(f"{PIN}/{uuid.uuid4().hex[:8]}/{name}", version)
    try:
        for name in names:
            table.untag(name)
        yield
    finally:
        _settle(table)


def _settle(table: Table) -> None:
    """Restore tags from branches, including those that a killed process left."""
    names = table.tags()
    for name, version in _pinned(table).items():
        if name not in names:
            table.tag(name, version)
    for branch in table.branches():
        if branch.startswith(f"{PIN}/"):
            table.unbranch(branch)


def _pinned(table: Table) -> dict[str, int]:
    return {
        branch.split("/", 2)[2]: version for branch, version in table.branches().items() if branch.startswith(f"{PIN}/")
    }
