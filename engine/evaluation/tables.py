"""Folders of the `datasets` library: what `save_to_disk` writes, or parquet files as the hub has them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.e5v.dependencies import require
from engine.evaluation.errors import BadData
from engine.inputs import Image


def is_table(folder: Path) -> bool:
    """Whether the folder holds one."""
    return folder.is_dir() and any(next(folder.glob(f"**/*.{end}"), None) for end in ("arrow", "parquet"))


def read_table(folder: Path, split: str, *columns: str, pictures: str | None = None) -> Any:
    """A `datasets.Dataset`.

    Args:
        split: taken where there are several.
        columns: that it must have.
        pictures: the column of pictures, decoded when read.

    Raises:
        BadData: no table, no such split, or a column is missing.
        MissingDependency: `datasets` is not installed.
    """
    if not is_table(folder):
        raise BadData(f"{folder}: holds no table: expected a folder of `datasets`, with .arrow or .parquet files")
    require("datasets", what="a `datasets` folder", extra="eval")
    import datasets

    try:
        if any(folder.glob("**/*.arrow")):
            table = datasets.load_from_disk(str(folder))
            table = table[split] if isinstance(table, datasets.DatasetDict) else table
        else:
            files = sorted(map(str, folder.glob("**/*.parquet")))
            chosen = [one for one in files if split in Path(one).name] or files
            table = datasets.load_dataset("parquet", data_files=chosen, split="train")
    except (KeyError, ValueError, OSError) as error:
        raise BadData(f"{folder}: cannot be read, split {split!r}: {error}") from error
    wanted = [*columns, *([pictures] if pictures else [])]
    if not set(wanted) <= set(table.column_names):
        raise BadData(f"{folder}: has columns {', '.join(table.column_names)}: expected {', '.join(wanted)}")
    return table.cast_column(pictures, datasets.Image()) if pictures else table


def cell(table: Any, row: int, column: str) -> Callable[[], Image]:
    """Loads a picture, when called."""
    return lambda: Image(pixels=table[row][column])
