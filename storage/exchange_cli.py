"""Commands that exchange items with their vectors: export, import. `oneword.cli` registers them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from oneword import storage
from oneword.storage.cli import Name
from oneword.storage.config import KNOWN, Format, Target
from oneword.storage.terminal import Db, Json, Yes, confirm, report, size


def export(
    collection: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file, or a folder for one of the collection's name.")
    ],
    to: Annotated[Target, typer.Option(help="Format; npy comes with a parquet file beside it.")] = "parquet",
    vectors: Annotated[
        Literal["float16", "float32"], typer.Option(help="Type of vectors in parquet; both keep every bit.")
    ] = "float16",
    db: Db = ".oneword",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Write a collection to a parquet file: items, thumbnails, metadata, vectors, and the space they are in.

    With --to, write it for NumPy, Qdrant or Milvus.
    """
    source = storage.Store(db).open(collection)
    file = storage.export_target(path, collection, to)
    for one in [file, file.with_suffix(".parquet")][: 2 if to == "npy" else 1]:
        if one.exists():
            confirm(f"Replace {one}?", yes, f"{one} would be replaced")
    if to == "parquet":
        done = storage.export_parquet(source, path, precision=vectors)
    elif to == "npy":
        done = storage.export_npy(source, path)
    else:
        done = storage.export_json(source, path, to)
    text = f"Exported the {done.items:,} items of {collection!r} to {done.file} ({size(done.bytes)})."
    report({"collection": collection, **vars(done)}, text, json)


def import_(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file or folder with vectors: an export, or another's.")
    ],
    collection: Name = "default",
    from_: Annotated[Format, typer.Option("--from", help="Format; auto: by its name.")] = "auto",
    model: Annotated[
        str | None,
        typer.Option(help="Model that made the vectors; vectors:NAME:DIMENSIONS for one that Oneword does not have."),
    ] = None,
    view: Annotated[str | None, typer.Option(help="Its view, with --model.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="Column that is the id, vector, text, uri or modality."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Leave this column out.")] = None,
    modality: Annotated[Literal["image", "text"] | None, typer.Option(help="Of rows that have none.")] = None,
    beside: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ids or facts of the vectors of npy or faiss: parquet, npy, text."),
    ] = None,
    db: Db = ".oneword",
    json: Json = False,
) -> None:
    """Import items with their vectors. An export makes its collection; for others, --model says what made the vectors.

    Other columns become metadata. Run it again, and only what is new or changed is stored.
    """
    pairs = [one.partition("=") for one in map_ or ()]
    if wrong := [name for name, _, column in pairs if name not in KNOWN or not column]:
        raise typer.BadParameter(f"--map {wrong[0]!r}: expected NAME=COLUMN with a name of {', '.join(KNOWN)}")
    columns = {name: column for name, _, column in pairs}
    rows = storage.open_rows(path, from_, beside=beside).mapped(columns, without or ())
    if modality:
        rows = replace(rows, modality=modality)
    space = None if model is None else context.obj(model, view)
    done = storage.import_rows(storage.Store(db), rows, collection, space)
    text = f"Imported {done.rows:,} items into {collection!r}: "
    text += f"{done.added:,} new, {done.updated:,} changed, {done.unchanged:,} unchanged."
    report(vars(done), text, json)
