"""What a store holds after a job, to compare it with another."""

import re
from pathlib import Path
from typing import NamedTuple

from oneword.storage import Metadata, Store


class Row(NamedTuple):
    """A row, but for its id and times."""

    uri: str
    text: str | None
    modality: str
    content_hash: str
    image_hash: str | None
    width: int | None
    height: int | None
    metadata: dict[str, Metadata]
    thumbnail: bytes | None
    vector: bytes


def rows(db: Path | str, collection: str = "default") -> dict[str, Row]:
    """By id; none where the collection was not made."""
    if not Path(db, f"{collection}.lance", "_versions").is_dir():
        return {}
    return {
        item.id: Row(
            item.uri,
            item.text,
            item.modality,
            item.content_hash,
            item.image_hash,
            item.width,
            item.height,
            dict(item.metadata),
            item.thumbnail,
            item.vector.tobytes(),
        )
        for items in Store(str(db)).open(collection).scan(vectors=True)
        for item in items
        if item.vector is not None
    }


def quarantined(db: Path | str) -> dict[str, tuple[str, str, int, str]]:
    """By URI: kind, reason, tries and source."""
    return {
        one.uri: (one.kind, re.sub(r" at 0x\w+", "", one.reason), one.tries, one.source)
        for one in Store(str(db)).quarantine("default").list()
    }
