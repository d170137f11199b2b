"""Which column of a table is the id, which the text, which the picture, and which are facts."""

from collections.abc import Sequence
from dataclasses import dataclass

from oneword.indexer.errors import BadSource
from oneword.indexer.sources.options import SourceOptions

IDS = ("id", "_id", "item_id", "uid", "uuid", "key")
"""Usual names of an id, the likeliest first; letters may be large or small."""

TEXTS = ("text", "caption", "description", "sentence", "content", "body", "alt_text", "abstract", "title")
"""Usual names of a text."""

IMAGES = (
    *("image", "img", "picture", "photo", "jpg", "png", "image_bytes", "image_url", "img_url", "image_uri"),
    *("image_path", "image_file", "image_file_name", "file_name", "filename", "filepath", "file", "path", "url"),
)
"""Usual names of a picture: its bytes, or where it is (`file_name` is Hugging Face's, `url` LAION's)."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What a table's columns are; at least one of `text` and `image` is there."""

    id: str | None
    text: str | None
    image: str | None
    metadata: tuple[str, ...]

    def shown(self) -> str:
        """In one line, for logs."""
        named = {"id": self.id, "text": self.text, "image": self.image}
        return ", ".join(f"{role}: {name!r}" if name else f"no {role}" for role, name in named.items())


def roles(columns: Sequence[str], options: SourceOptions, name: str) -> Roles:
    """As the options say, else by the usual names.

    Args:
        name: how errors call the table.

    Raises:
        BadSource: a column that was asked for is not there, or there is neither text nor picture. Names the columns
            that there are.
    """
    given = {
        "id": options.id_column,
        "text": options.text_column,
        "image": options.image_column,
        **{f"metadata {one!r}": one for one in options.metadata_columns or ()},
    }
    for role, column in given.items():
        if column and column not in columns:
            raise BadSource(
                f"{name} has no column {column!r}, which is to be the {role}; it has {_listed(columns)}; "
                "name one of them"
            )
    taken = {column for column in given.values() if column}
    found = {}
    for role, usual in (("id", IDS), ("text", TEXTS), ("image", IMAGES)):
        if (column := given[role]) is None:
            column = _guess(columns, usual, taken)
        found[role] = column or None
        taken.add(column or "")
    if not (found["text"] or found["image"]):
        raise BadSource(
            f"{name} has no column that is called as texts or pictures usually are; it has {_listed(columns)}; "
            "say which column is the text or the image"
        )
    used = set(found.values())
    if options.metadata_columns is None:
        metadata = tuple(one for one in columns if one not in used)
    else:
        metadata = options.metadata_columns
    return Roles(id=found["id"], text=found["text"], image=found["image"], metadata=metadata)


def _guess(columns: Sequence[str], usual: Sequence[str], taken: set[str]) -> str | None:
    by_name = {one.lower(): one for one in reversed(columns) if one not in taken}
    return next((by_name[one] for one in usual if one in by_name), None)


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(one) for one in columns[:50])
    return (f"{shown} and {len(columns) - 50:,} more" if len(columns) > 50 else shown) or "none"
