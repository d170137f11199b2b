"""Finds what a power cut or a bad disk has left of a table, and the newest version that is whole.

What LanceDB writes can be told whole from its end: manifests and data files end with the bytes `LANC`
(lance-format/lance: rust/lance-core/src/... MAGIC), and a manifest names its data files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"LANC"
ASIDE = "_damaged"
"""Folder in a table where manifests go that cannot be read: nothing of a user's is deleted."""

_DATA_FILE = re.compile(rb"([01]{24}[0-9a-f]{26}\.lance)")


@dataclass(frozen=True, kw_only=True)
class Damage:
    """newest: the newest version there is. broken: versions newer than `sound`. sound: the newest whole one, if any."""

    newest: int
    broken: tuple[int, ...]
    sound: int | None


def examine(table: Path) -> Damage | None:
    """Returns what is wrong with the newest version of a table in a folder, or None if nothing is, as far as shows."""
    broken: list[int] = []
    for manifest in sorted((table / "_versions").glob("*.manifest")):  # named so that the newest comes first
        version = version_of(manifest)
        if _is_whole(manifest, table):
            return Damage(newest=broken[0], broken=tuple(broken), sound=version) if broken else None
        broken.append(version)
    return Damage(newest=broken[0], broken=tuple(broken), sound=None) if broken else None


def manifests(table: Path) -> dict[int, bool]:
    """The versions of a table by number, oldest first, each with whether it is whole."""
    found = sorted((table / "_versions").glob("*.manifest"), reverse=True)
    return {version_of(one): _is_whole(one, table) for one in found}


def go_back(table: Path, version: int) -> None:
    """Makes `version` the newest one, by setting aside the manifests that came after it."""
    aside = table / ASIDE
    aside.mkdir(exist_ok=True)
    for manifest in (table / "_versions").glob("*.manifest"):
        if version_of(manifest) > version:
            manifest.replace(aside / manifest.name)
    (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)


def live_bytes(table: Path) -> int:
    """Bytes of the data files of the newest version: what merging them writes anew, at most."""
    newest = min((table / "_versions").glob("*.manifest"), default=None)
    if newest is None:
        return 0
    files = {table / "data" / name.decode() for name in _DATA_FILE.findall(newest.read_bytes())}
    return sum(file.stat().st_size for file in files if file.exists())


def version_of(manifest: Path) -> int:
    """The version that a manifest is of (ManifestNamingScheme::V2)."""
    return 2**64 - 1 - int(manifest.stem)


def _is_whole(manifest: Path, table: Path) -> bool:
    data = manifest.read_bytes()
    if len(data) < 16 or not data.endswith(MAGIC):
        return False
    return all(_ends_well(table / "data" / name.decode()) for name in set(_DATA_FILE.findall(data)))


def _ends_well(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            opened.seek(-len(MAGIC), 2)
            return opened.read() == MAGIC
    except OSError:  # gone, or too short to seek in
        return False
