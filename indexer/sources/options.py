"""How the user wants sources to be read, in a form that is stored, so that a job can be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from oneword.indexer.captions import Captions
from oneword.indexer.errors import BadSource


class SourceKind(StrEnum):
    """What the paths given are."""

    AUTO = "auto"  # inferred per path
    FOLDER = "folder"
    TABLE = "table"
    WEBDATASET = "webdataset"
    URLS = "urls"
    DATASET = "dataset"


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How sources are read.

    Args:
        kind: what the paths are.
        id_column, text_column, image_column: of tables and data sets (of webdataset: `id_column` is a key of the
            sample's JSON). None: inferred from the names; "": there is none.
        metadata_columns: the columns that become metadata; None: all others.
        include, exclude: globs of files in folders, see `oneword.indexer.sources.globs.Patterns`.
        captions: what a `.txt` beside an image of the same stem is.
        delimiter: between the cells of CSV files; None: inferred per file.
        allow_schemes: of object stores (`s3`) that tables and lists may name, besides the one that they are in.
        id_prefix: put before the ids that tables, data sets and shards bring.
    """

    kind: SourceKind = SourceKind.AUTO
    id_column: str | None = None
    text_column: str | None = None
    image_column: str | None = None
    metadata_columns: tuple[str, ...] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    captions: Captions = Captions.ATTACH
    id_prefix: str = ""
    delimiter: str | None = None
    allow_schemes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON types."""
        return {
            one.name: list(value) if isinstance(value := getattr(self, one.name), tuple) else value
            for one in fields(self)
        }

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> "SourceOptions":
        """The inverse of `as_dict`. Raises BadSource for keys and values that it cannot return."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(read) - known):
            raise BadSource(f"source options hold {unknown[0]!r}, expected only {', '.join(sorted(known))}; remove it")
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}
        try:
            given |= {"kind": SourceKind(given["kind"])} if "kind" in given else {}
            given |= {"captions": Captions(given["captions"])} if "captions" in given else {}
        except ValueError as error:
            raise BadSource(f"source options cannot be read: {error}; choose another value") from error
        return cls(**given)
