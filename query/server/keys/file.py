"""The file of API keys: TOML, one table a key, none of their secrets.

    [[key]]
    id = "k3v9x2mq"
    name = "the shop"
    scopes = ["read"]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    created = 2026-01-31T12:00:00Z
    rate = 20.0

Commands write it anew, in one step; comments in it do not outlive that.
"""

import json
import logging
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oneword.query.errors import KeyFileError
from oneword.query.server.keys.principal import SCOPES, Principal, Scope
from oneword.storage.durability import sync_folder

log = logging.getLogger(__name__)

MAX_NAME = 100  # characters
_FIELDS = {"id", "name", "scopes", "sha256", "created", "rate"}
_HEAD = "# API keys. Of their secrets there are only hashes here. Written by `oneword keys`.\n"


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key, without its secret.

    Args:
        id: 1 to 32 of [a-z0-9]; the part of the key's text that finds it here.
        name: 1 to 100 printable characters.
        scopes: at least one; each includes those before it in `SCOPES`.
        sha256: of the secret's text, 64 hexadecimal digits.
        created: with a time zone.
        rate: requests a second, above 0; None: the server's own limit.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: datetime
    rate: float | None = None

    @property
    def principal(self) -> Principal:
        """Its holder."""
        return Principal(id=self.id, name=self.name, scope=max(self.scopes, key=SCOPES.index), rate=self.rate)


def read(path: Path) -> list[Key]:
    """The keys of a file; a warning is logged if others on this machine can read it.

    Raises:
        KeyFileError: there is no such file, it is not TOML, or a key in it is malformed or there twice.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            document = tomllib.load(file)
    except FileNotFoundError:
        raise KeyFileError(
            f"there is no keys file {str(path)!r}: make one with `oneword keys create NAME --file {path}`"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeyFileError(f"keys file {str(path)!r} is not TOML: {error}; expected tables [[key]]") from None
    except OSError as error:
        raise KeyFileError(f"keys file {str(path)!r} cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & 0o004:
        log.warning("keys file %s can be read by anyone on this machine: chmod o-r %s", path, path)
    tables = document.pop("key", [])
    if document or not isinstance(tables, list):
        found = repr(sorted(document)[0]) if document else "a single [key]"
        raise KeyFileError(f"keys file {str(path)!r} has {found}; expected nothing but tables [[key]]")
    keys: dict[str, Key] = {}
    for number, table in enumerate(tables, start=1):
        try:
            key = _key(table)
        except ValueError as error:
            raise KeyFileError(f"keys file {str(path)!r}, key number {number}: {error}") from None
        if key.id in keys:
            raise KeyFileError(f"keys file {str(path)!r} has two keys with the id {key.id!r}: take one away")
        keys[key.id] = key
    return list(keys.values())


def write(path: Path, keys: Sequence[Key]) -> None:
    """Writes the file in one step. A new one is for its owner alone; an old one stays whose it was, never wider.

    Raises:
        KeyFileError: it cannot be written.
    """
    path = path.resolve()  # a link stays one
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join([_HEAD, *map(_toml, keys)]))
                file.flush()
                os.fsync(file.fileno())
            if os.name == "posix" and path.exists():  # the service may run as another user, who reads it as the group
                old = path.stat()
                with suppress(PermissionError):
                    os.chown(partial, old.st_uid, old.st_gid)
                    Path(partial).chmod(old.st_mode & 0o640)
            Path(partial).replace(path)
            sync_folder(path.parent)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeyFileError(f"keys file {str(path)!r} cannot be written: {error.strerror}") from error


@contextmanager
def changing(path: Path) -> Iterator[list[Key]]:
    """The keys of a file, to be changed in place and written at the end; two commands at once wait for each other.

    Raises:
        KeyFileError: as `read` and `write`; a file that is missing is a file without keys.
    """
    from filelock import FileLock

    path = path.resolve()
    if not path.parent.is_dir():
        raise KeyFileError(f"keys file {str(path)!r}: there is no folder {str(path.parent)!r}")
    with FileLock(path.with_name(f".{path.name}.lock"), mode=0o600):
        keys = read(path) if path.exists() else []
        yield keys
        write(path, keys)


def _key(table: Any) -> Key:
    """Raises ValueError. Values are told, but not that of sha256: it may be a secret put there by mistake."""
    if not isinstance(table, dict):
        raise ValueError("expected a table [[key]]")
    if unknown := sorted(set(table) - _FIELDS):
        raise ValueError(f"unknown field {unknown[0]!r}; there are {', '.join(sorted(_FIELDS))}")
    if missing := sorted(_FIELDS - {"rate"} - set(table)):
        raise ValueError(f"{missing[0]!r} is missing")
    scopes, sha256, created, rate = table["scopes"], table["sha256"], table["created"], table.get("rate")
    if not isinstance(table["id"], str) or not re.fullmatch("[a-z0-9]{1,32}", table["id"]):
        raise ValueError(f"id is {table['id']!r}; expected 1 to 32 of a-z and 0-9")
    checked_name(table["name"])
    if not isinstance(scopes, list) or not scopes:
        raise ValueError(f"scopes is {scopes!r}; expected a list of {', '.join(SCOPES)}")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ValueError(f"unknown scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError("sha256 is not one; expected 64 of 0-9 and a-f, as `oneword keys create` writes them")
    if not isinstance(created, datetime):
        raise ValueError(f"created is {created!r}; expected a time such as 2026-01-31T12:00:00Z")
    return Key(
        id=table["id"],
        name=table["name"],
        scopes=tuple(scopes),
        sha256=sha256,
        created=created if created.tzinfo else created.replace(tzinfo=UTC),
        rate=None if rate is None else checked_rate(rate),
    )


def checked_name(name: Any) -> str:
    """The name, or ValueError."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError(f"name is {name!r}; expected 1 to {MAX_NAME} printable characters")
    return name


def checked_rate(rate: Any) -> float:
    """The rate in requests a second, or ValueError."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate is {rate!r}; expected requests a second, above 0")
    return float(rate)


def _toml(key: Key) -> str:
    quoted = [f'"{scope}"' for scope in key.scopes]
    lines = [
        "[[key]]",
        f'id = "{key.id}"',
        f"name = {json.dumps(key.name, ensure_ascii=False)}",  # of printable characters, TOML escapes the same two
        f"scopes = [{', '.join(quoted)}]",
        f'sha256 = "{key.sha256}"',
        f"created = {key.created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    ]
    if key.rate is not None:
        lines.append(f"rate = {key.rate!r}")
    return "\n".join(lines) + "\n"
