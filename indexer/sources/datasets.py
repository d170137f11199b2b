"""Folders that Hugging Face `datasets` wrote with `save_to_disk`, read as the Arrow streams that they are.

The library itself is not needed, and no image is decoded: an `Image` column holds `{bytes, path}`. The files are
described by datasets:src/datasets/arrow_dataset.py (`save_to_disk`) and dataset_dict.py.
"""

import json
from collections.abc import Mapping
from typing import Any

from oneword.indexer.errors import BadSource
from oneword.indexer.options import SourceOptions
from oneword.indexer.sources.arrow_tables import ArrowTable
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.tables import TableSource
from oneword.storage import Metadata

_MAX_BYTES = 64 * 2**20  # of a JSON file with the names of columns and files


def dataset_source(place: Place, options: SourceOptions) -> TableSource:
    """A `Dataset`, or all splits of a `DatasetDict` in its order; a row's split becomes its metadata `split`.

    Raises:
        BadSource: there is no data set, or a column is missing.
    """
    splits: Mapping[str | None, Place] = {None: place}
    if _exists(place.child("dataset_dict.json")):
        names = _read(place.child("dataset_dict.json")).get("splits")
        if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
            raise BadSource(f"{place}: dataset_dict.json names no splits; write the data set again")
        splits = {name: place.child(name) for name in names}
    return TableSource([_table(folder, name) for name, folder in splits.items()], options)


def _table(folder: Place, split: str | None) -> ArrowTable:
    state = _read(folder.child("state.json"))
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise BadSource(
            f"{folder}: is a selection of rows of another order, which older versions of `datasets` wrote; load "
            "it, call flatten_indices() and save_to_disk() again"
        )
    try:
        parts = [folder.child(str(one["filename"])) for one in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise BadSource(f"{folder}: state.json names no data files; write the data set again") from error
    split = split or (state["_split"] if isinstance(state.get("_split"), str) else None)
    info = folder.child("dataset_info.json")
    labels = _labels(_read(info).get("features")) if _exists(info) else {}
    extra: dict[str, Metadata] = {"split": split} if split else {}
    return ArrowTable(folder.child("state.json"), parts=parts, folder=folder, labels=labels, extra=extra)


def _labels(features: Any) -> dict[str, list[str]]:
    """The names of the numbers in `ClassLabel` columns."""
    if not isinstance(features, dict):
        return {}
    return {
        name: [str(one) for one in feature["names"]]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
    }


def _exists(place: Place) -> bool:
    try:
        return place.exists()
    except OSError as error:
        raise BadSource(f"{place}: cannot be reached ({reason_of(error)})") from error


def _read(place: Place) -> dict[str, Any]:
    try:
        with place.open() as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        expected = "expected what `datasets` writes; save the data set again"
        raise BadSource(f"{place}: cannot be read ({reason_of(error)}), {expected}") from error
    if not isinstance(found, dict):
        raise BadSource(f"{place}: is a JSON {type(found).__name__}, expected an object; save the data set again")
    return found
