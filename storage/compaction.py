"""What a compaction did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """A collection before and after its small files were merged and old versions removed.

    files_*, bytes_*: all its files, those of older versions included; None in an object store.
    versions_removed, versions_kept: tagged ones are among the kept.
    """

    files_before: int | None
    files_after: int | None
    bytes_before: int | None
    bytes_after: int | None
    versions_removed: int
    versions_kept: int
