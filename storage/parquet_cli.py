"""`oneword export` and `oneword import`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oneword.storage.cli import Name
from oneword.storage.terminal import Db, Json, Yes, confirm, print_json, say, size


class Vectors(StrEnum):
    """How exports write vectors."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"


def export(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A parquet file, or a folder for NAME.parquet.")],
    vectors: Annotated[Vectors, typer.Option(help="Their numbers; both keep every bit.")] = Vectors.FLOAT16,
    db: Db = ".oneword",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Write a collection to a parquet file: items, thumbnails, metadata, vectors, and the space they are in."""
    from oneword.storage import Store
    from oneword.storage.parquet.export import target

    source = Store(db).open(collection)
    file = target(path, collection)
    if file.exists():
        confirm(f"Replace {file}?", yes, f"{file} would be replaced")
    done = source.export(path, precision=vectors.value)
    if json:
        print_json({"collection": collection, **vars(done)})
    else:
        say(f"Exported the {done.items:,} items of {collection!r} to {done.file} ({size(done.bytes)}).")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A parquet file: an export, or with id and vector.")],
    collection: Name = "default",
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Import a parquet file. An export makes its collection; other files need one whose model made their vectors."""
    from oneword.storage import Store

    done = Store(db).import_parquet(file, collection)
    if json:
        print_json(vars(done))
    else:
        say(
            f"Imported {done.rows:,} items into {collection!r}: "
            f"{done.added:,} new, {done.updated:,} changed, {done.unchanged:,} unchanged."
        )
