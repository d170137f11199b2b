"""API keys `ow_ID_SECRET`, their scopes, and the TOML file that holds their hashes.

    [[key]]
    id = "k3v9x2mq"
    name = "the shop"
    scopes = ["read"]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    created = 2026-01-31T12:00:00Z
    rate = 20.0

Commands rewrite the file atomically; comments in it are lost. A secret is 256 random bits, so a plain SHA-256 is
enough: slow hashes (bcrypt, argon2) protect secrets that can be guessed, and would only make each request slower.
"""

import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from oneword.query.errors import KeyFileError
from oneword.storage.durability import sync_folder

log = logging.getLogger(__name__)

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each scope includes those before it."""

MAX_NAME = 100  # characters
_FIELDS = {"id", "name", "scopes", "sha256", "created", "rate"}
_HEAD = "# API keys. Only hashes of their secrets are stored. Written by `oneword keys`.\n"
_SECRET_BYTES = 32
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_MAX_KEY = 256  # characters
_DUMMY = hashlib.sha256(secrets.token_bytes(_SECRET_BYTES)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key without its secret, and so the caller that has it.

    Args:
        id: 1 to 32 of [a-z0-9], the public part of the key.
        name: 1 to 100 printable characters.
        scopes: at least one.
        sha256: of the secret, 64 hexadecimal digits.
        created: with a time zone.
        rate: requests per second, above 0; None: the server's limit.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: datetime
    rate: float | None = None

    @property
    def scope(self) -> Scope:
        """The highest scope."""
        return max(self.scopes, key=SCOPES.index)

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


ANYONE = Key(id="anyone", name="anyone", scopes=("admin",), sha256="", created=datetime.min.replace(tzinfo=UTC))
"""The caller where the service has no keys."""


class Keys:
    """The keys that a service accepts. Keys of a file are reloaded when the file changes."""

    def __init__(self, keys: Iterable[Key]) -> None:
        """keys: with distinct ids."""
        self._keys = {key.id: key for key in keys}
        self._path: Path | None = None
        self._stamp: object = None

    @classmethod
    def load(cls, path: str | Path) -> "Keys":
        """The keys of a file. With no keys in the file, or if it becomes unreadable later, nobody has access.

        Raises:
            KeyFileError: the file is missing or malformed.
        """
        stamp = _stamp(Path(path))
        keys = cls(read(Path(path)))
        keys._path, keys._stamp = Path(path), stamp
        return keys

    def __len__(self) -> int:
        return len(self._keys)

    def refresh(self) -> None:
        """Reloads the file if it has changed. While it cannot be read, nobody has access."""
        if self._path is None or (stamp := _stamp(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = {key.id: key for key in read(self._path)}
            log.info("API keys reloaded: %d", len(self._keys))
        except KeyFileError as error:
            self._keys = {}
            log.error("all API keys are refused, because their file cannot be read: %s", error)

    def check(self, authorization: str | None, api_key: str | None = None) -> Key | None:
        """The key in the headers `Authorization: Bearer KEY` and `api-key: KEY`.

        None: the key is unknown, there is none, or the two headers differ. Takes the same time for an unknown id as
        for a wrong secret.
        """
        self.refresh()
        given = set()
        if authorization is not None:
            scheme, _, key = authorization.partition(" ")
            given.add(key.strip(" ") if scheme.lower() == "bearer" else "")
        if api_key is not None:
            given.add(api_key.strip(" "))
        return self._known(given.pop()) if len(given) == 1 else None

    def _known(self, text: str) -> Key | None:
        prefix, _, rest = text[:_MAX_KEY].partition("_")
        id_, _, secret = rest.partition("_")
        key = self._keys.get(id_)
        right = hmac.compare_digest(_hash(secret), key.sha256 if key is not None else _DUMMY)
        return key if right and prefix == "ow" and len(text) <= _MAX_KEY else None


def make(name: str, scope: Scope, *, rate: float | None = None, taken: Iterable[str] = ()) -> tuple[Key, str]:
    """A new key and its text `ow_ID_SECRET`, which is not stored anywhere.

    name, rate: see `Key`. taken: ids in use.

    Raises:
        ValueError: the name or the rate is invalid.
    """
    ids = set(taken)
    while (id_ := "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))) in ids:
        pass
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    key = Key(
        id=id_,
        name=_checked_name(name),
        scopes=(scope,),
        sha256=_hash(secret),
        created=datetime.now(UTC).replace(microsecond=0),
        rate=None if rate is None else _checked_rate(rate),
    )
    return key, f"ow_{id_}_{secret}"


def read(path: Path) -> list[Key]:
    """The keys of a file. Logs a warning if other users of the machine can read it.

    Raises:
        KeyFileError: the file is missing or not TOML, or a key is malformed or duplicated.
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
            raise KeyFileError(f"keys file {str(path)!r} has two keys with the id {key.id!r}: remove one")
        keys[key.id] = key
    return list(keys.values())


def write(path: Path, keys: Sequence[Key]) -> None:
    """Replaces the file atomically. A new file is private to its owner; an existing one keeps owner and group.

    Raises:
        KeyFileError: the file cannot be written.
    """
    path = path.resolve()  # a link stays a link
    try:
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join([_HEAD, *map(_toml, keys)]))
                file.flush()
                os.fsync(file.fileno())
            if os.name == "posix" and path.exists():  # the service may run as another user, and read it by its group
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
    """The keys of a file, to change in place; written when the block ends. Holds a lock on the file.

    Raises:
        KeyFileError: as `read` and `write`; a missing file counts as a file without keys.
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
    """Raises ValueError, which repeats the value, except that of sha256: it may be a secret put there by mistake."""
    if not isinstance(table, dict):
        raise ValueError("expected a table [[key]]")
    if unknown := sorted(set(table) - _FIELDS):
        raise ValueError(f"unknown field {unknown[0]!r}; there are {', '.join(sorted(_FIELDS))}")
    if missing := sorted(_FIELDS - {"rate"} - set(table)):
        raise ValueError(f"{missing[0]!r} is missing")
    scopes, sha256, created, rate = table["scopes"], table["sha256"], table["created"], table.get("rate")
    if not isinstance(table["id"], str) or not re.fullmatch("[a-z0-9]{1,32}", table["id"]):
        raise ValueError(f"id is {table['id']!r}; expected 1 to 32 of a-z and 0-9")
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
        name=_checked_name(table["name"]),
        scopes=tuple(scopes),
        sha256=sha256,
        created=created if created.tzinfo else created.replace(tzinfo=UTC),
        rate=None if rate is None else _checked_rate(rate),
    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError(f"name is {name!r}; expected 1 to {MAX_NAME} printable characters")
    return name


def _checked_rate(rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate is {rate!r}; expected requests a second, above 0")
    return float(rate)


def _toml(key: Key) -> str:
    scopes = ", ".join(f'"{scope}"' for scope in key.scopes)
    name = json.dumps(key.name, ensure_ascii=False)  # TOML escapes the same printable characters as JSON
    lines = ["[[key]]", f'id = "{key.id}"', f"name = {name}", f"scopes = [{scopes}]", f'sha256 = "{key.sha256}"']
    lines.append(f"created = {key.created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if key.rate is not None:
        lines.append(f"rate = {key.rate!r}")
    return "\n".join(lines) + "\n"


def _stamp(path: Path) -> object:
    """Changes when the file does; None if there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
