"""API keys: `ow_ID_SECRET`, each with scopes, checked against hashes.

A secret is 256 random bits, so its plain SHA-256 is stored: slow hashes (bcrypt, argon2) are for secrets that can be
guessed, and no one can try a share of 2^256 worth speaking of. A slow hash would only make each request cost more.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from oneword.query.errors import KeyFileError
from oneword.query.server.keys import file as key_file
from oneword.query.server.keys.file import Key
from oneword.query.server.keys.principal import Principal, Scope

log = logging.getLogger(__name__)

_BYTES = 32  # of a secret
_ID = "abcdefghijklmnopqrstuvwxyz0123456789"
_LONGEST = 256  # characters of a key; what is longer is none of ours
_DUMMY = hashlib.sha256(secrets.token_bytes(_BYTES)).hexdigest()


class Keys:
    """The keys that let in. Those of a file are read again when the file changes: a revoked one ends with that."""

    def __init__(self, keys: Iterable[Key]) -> None:
        """keys: with different ids."""
        self._keys = {key.id: (key.sha256, key.principal) for key in keys}
        self._dummy = (_DUMMY, None)
        self._path: Path | None = None
        self._seen: object = None

    @classmethod
    def load(cls, path: str | Path) -> "Keys":
        """The keys of a file. A file without keys lets no one in, and neither does one that cannot be read later on.

        Raises:
            KeyFileError: the file is missing or malformed.
        """
        seen = _state(Path(path))
        keys = cls(key_file.read(Path(path)))
        keys._path, keys._seen = Path(path), seen
        return keys

    def refresh(self) -> None:
        """Reads the file if it has changed. One that cannot be read lets nobody in until it can be again."""
        if self._path is None or (seen := _state(self._path)) == self._seen:
            return
        self._seen = seen
        try:
            self._keys = {key.id: (key.sha256, key.principal) for key in key_file.read(self._path)}
            log.info("keys read again: %d", len(self._keys))
        except KeyFileError as error:
            self._keys = {}
            log.error("nobody is let in, because the keys cannot be read: %s", error)

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, authorization: str | None, api_key: str | None = None) -> Principal | None:
        """Whose key it is; None if it is nobody's, or if the two headers say different keys.

        authorization: the header of that name, `Bearer KEY`; api_key: the header `api-key`. What is there must hold.
        Takes as long for an unknown id as for a wrong secret.
        """
        self.refresh()
        said = set()
        if authorization is not None:
            scheme, _, key = authorization.partition(" ")
            said.add(key.strip(" ") if scheme.lower() == "bearer" else "")
        if api_key is not None:
            said.add(api_key.strip(" "))
        return self._holder(said.pop()) if len(said) == 1 else None

    def _holder(self, key: str) -> Principal | None:
        prefix, _, rest = key[:_LONGEST].partition("_")
        id_, _, secret = rest.partition("_")
        known, principal = self._keys.get(id_, self._dummy)
        right = hmac.compare_digest(_hash(secret), known)
        return principal if right and prefix == "ow" and len(key) <= _LONGEST else None


def _state(path: Path) -> object:
    """What tells a changed file from the same one; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def make(
    name: str, scope: Scope, *, rate: float | None = None, taken: Iterable[str] = (), now: datetime | None = None
) -> tuple[Key, str]:
    """A new key and its text, which is nowhere else: (what is stored, `ow_ID_SECRET`).

    name, rate: see `Key`. taken: ids that are in use. now: the time that it is made at.

    Raises:
        ValueError: the name or the rate will not do.
    """
    ids = set(taken)
    while (id_ := "".join(secrets.choice(_ID) for _ in range(8))) in ids:
        pass
    secret = secrets.token_urlsafe(_BYTES)
    key = Key(
        id=id_,
        name=key_file.checked_name(name),
        scopes=(scope,),
        sha256=_hash(secret),
        created=(now or datetime.now(UTC)).replace(microsecond=0),
        rate=None if rate is None else key_file.checked_rate(rate),
    )
    return key, f"ow_{id_}_{secret}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
