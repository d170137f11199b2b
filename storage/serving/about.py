"""What a serving index is, as written beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from oneword.storage.serving.tuning import Effort

ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """What an index is.

    Args:
        version: of the table that it was built from.
        created: of the table, ISO 8601: a table made again starts its versions anew.
        rows: number of vectors.
        dimension: numbers in each.
        kind: "flat", or FAISS's name of its structure.
        effort: how hard a search looks; None for "flat".
        recall: measured share of the ten nearest that are found; 1 for "flat".
        goal: the recall that was asked for.
        length_error: how far the length of a stored vector is from 1 at most.
        digests: of its files, BLAKE2b in hexadecimal, by name.
    """

    version: int
    created: str
    rows: int
    dimension: int
    kind: str
    effort: Effort | None
    recall: float
    goal: float
    length_error: float
    digests: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write it; the last file of an index to be written."""
        (folder / ABOUT).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> About:
        """Read it.

        Raises:
            OSError, ValueError, KeyError, TypeError: it is missing or malformed.
        """
        said = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        effort = said.pop("effort")
        return cls(**said, effort=Effort(**effort) if effort else None)
