"""A collection's space: what its vectors were made by, as a JSON object that the caller gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oneword.storage.errors import BadSpace, SpaceMismatch

REQUIRED: dict[str, type] = {"fingerprint": str, "dimension": int, "model": str, "view": str}


def checked_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """A plain copy of `space`, as it will come back from the table.

    Raises:
        BadSpace: a required key is missing or of another type, or something in it is not JSON.
    """
    for key, kind in REQUIRED.items():
        if type(space.get(key)) is not kind or not space[key]:
            raise BadSpace(
                f"a space has {key!r} as {space.get(key)!r}, expected a {kind.__name__}; "
                "make it with the encoder that makes the vectors"
            )
    if space["dimension"] < 1:
        raise BadSpace(f"a space has dimension {space['dimension']}, expected 1 or more")
    try:
        copy = json.loads(json.dumps(dict(space), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadSpace(f"a space must be a JSON object: {error}") from error
    return dict(copy)


def check_same(name: str, holds: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Compare by fingerprint, the one thing that says whether vectors may be compared.

    Raises:
        SpaceMismatch: they differ.
    """
    if holds["fingerprint"] != asked["fingerprint"]:
        raise SpaceMismatch(name, holds, asked)
