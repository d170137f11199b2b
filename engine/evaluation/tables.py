"""Folders of the `datasets` library: what `save_to_disk` writes, or parquet files as the hub has them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneword.engine.dependencies import require
from oneword.engine.errors import InputError
from oneword.engine.evaluation.files import BadData
from oneword.engine.inputs import Image


def is_table(folder: Path) -> bool:
    """Whether the folder holds one."""
    return folder.is_dir() and any(next(folder.glob(f"**/*.{end}"), None) for end in ("arrow", "parquet"))


def read_table(folder: Path, split: str, *columns: str, images: str | None = None) -> Any:
    """A `datasets.Dataset`.

    Args:
        split: taken where there are several.
        columns: that it must have.
        images: the column of images, decoded when read.

    Raises:
        BadData: no table, no such split, or a column is missing.
        MissingDependency: `datasets` is not installed.
    """
    if not is_table(folder):
        raise BadData(f"{folder}: holds no table: expected a folder of `datasets`, with .arrow or .parquet files")
    require("datasets", what="a `datasets` folder", extra="eval")
    import datasets
    import pyarrow as pa

    try:
        if any(folder.glob("**/*.arrow")):
            table = datasets.load_from_disk(str(folder))
            table = table[split] if isinstance(table, datasets.DatasetDict) else table
        else:
            table = datasets.load_dataset("parquet", data_files=_of_split(folder, split), split="train")
        if "split" in table.column_names:  # as in flickr30k on the hub: one table for all
            table = table.select([row for row, name in enumerate(table["split"]) if name == split])
        if images in table.column_names:
            table = table.cast_column(images, datasets.Image())
    except (KeyError, ValueError, OSError, pa.ArrowException, datasets.exceptions.DatasetsError) as error:
        raise BadData(f"{folder}: cannot be read, split {split!r}: {error}") from error
    expected = [*columns, *([images] if images else [])]
    if not set(expected) <= set(table.column_names):
        raise BadData(f"{folder}: has columns {', '.join(table.column_names)}: expected {', '.join(expected)}")
    if not len(table):
        raise BadData(f"{folder}: has no rows of split {split!r}: expected at least one")
    return table


def _of_split(folder: Path, split: str) -> list[str]:
    """The split's files, by the name of the file or its folder; all files if no name has a split."""
    files = sorted(folder.glob("**/*.parquet"))
    names = {file: set(re.split(r"[^a-z0-9]+", str(file.relative_to(folder)).lower())) for file in files}
    expected = {"val": {"val", "validation"}}.get(split, {split.lower()})
    chosen = [file for file in files if names[file] & expected]
    if not chosen and any(names[file] & {"train", "val", "validation", "test", "dev"} for file in files):
        raise BadData(f"{folder}: has no split {split!r}: expected one of its files to name it")
    return [str(file) for file in chosen or files]


def cell(table: Any, row: int, column: str) -> Callable[[], Image]:
    """Loads an image, when called. Raises BadData for what is no image."""

    def load() -> Image:
        try:
            return Image(pixels=table[row][column])
        except (AttributeError, OSError, ValueError, InputError) as error:
            raise BadData(f"row {row} has no image that can be decoded in {column!r}: {error}") from error

    return load
