"""Where a reader of all items is: opaque to clients, checked when it comes back."""

import base64
import binascii
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from oneword.query.server.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """A place in one version of a collection.

    Args:
        created: of the collection: one made again starts its versions anew.
        asked: a digest of the filter: another filter has other places.
    """

    version: int
    offset: int
    created: str
    asked: str

    def written(self) -> str:
        """As clients get it."""
        told = json.dumps([self.version, self.offset, self.created, self.asked]).encode()
        return base64.urlsafe_b64encode(told).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, created: str, asked: str) -> "Cursor":
        """As it came back.

        Raises:
            Problem: 422 it is none of ours, or of another filter; 410 the collection was made again.
        """
        try:
            told = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            version, offset, of, filter_ = told
            fits = type(version) is int and type(offset) is int and 0 < version < 2**63 and 0 <= offset < MOST
        except (binascii.Error, ValueError, TypeError):
            fits = False
        if not fits:
            raise Problem(422, "bad_cursor", f"the cursor {text[:60]!r} is none of ours", remedy=_ANEW, field="cursor")
        if of != created:
            raise Problem(410, "cursor_gone", "the collection was made again since", remedy=_ANEW, field="cursor")
        if filter_ != asked:
            raise Problem(422, "bad_cursor", "the cursor is of another filter", remedy=_ANEW, field="cursor")
        return cls(version=version, offset=offset, created=of, asked=filter_)


MOST = 2**32
"""LanceDB (0.40) takes offsets of 32 bits."""

_ANEW = "Begin again without a cursor."


def digest(condition: Any) -> str:
    """Of a filter as it was sent."""
    return sha256(json.dumps(condition, sort_keys=True).encode()).hexdigest()[:16]
