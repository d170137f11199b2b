"""Folders as Hugging Face's own library writes them."""

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword.indexer.entry import Entry
from oneword.indexer.errors import BadSource
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.sources import open_sources

datasets = pytest.importorskip("datasets")


def entries(path: Path, **options: Any) -> list[Entry]:
    (source,) = open_sources([path], SourceOptions(**options))
    found = list(source.entries())
    assert found == list(source.entries())
    return found


def rows(count: int = 7) -> dict[str, list[Any]]:
    return {
        "image": [PIL.Image.new("RGB", (4, 3), (at, 0, 0)) for at in range(count)],
        "caption": [f"caption {at}" for at in range(count)],
        "label": [at % 3 - 1 for at in range(count)],
        "taken": [datetime(2024, 1, 1 + at) for at in range(count)],
        "boxes": [[0.5, 1.0]] * count,
    }


def made(count: int = 7) -> Any:
    features = datasets.Features(
        image=datasets.Image(),
        caption=datasets.Value("string"),
        label=datasets.ClassLabel(names=["cat", "dog"]),
        taken=datasets.Value("timestamp[s]"),
        boxes=datasets.List(datasets.Value("float32")),
    )
    return datasets.Dataset.from_dict(rows(count), features=features)


def test_a_data_set_is_read_as_it_was_saved(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "d", num_shards=3)
    found = entries(tmp_path / "d")
    assert [one.text for one in found] == [f"caption {at}" for at in range(7)]
    assert found[1].metadata == {"label": "cat", "taken": found[1].metadata["taken"]}
    assert "label" not in found[0].metadata, "-1 is not a label"
    assert isinstance(found[4].image, bytes)
    assert PIL.Image.open(io.BytesIO(found[4].image)).getpixel((0, 0)) == (4, 0, 0)
    made().save_to_disk(tmp_path / "again", num_shards=1)
    root = (tmp_path / "d").as_uri()
    assert [one.origin for one in found] == [f"{root}#row={at}" for at in range(1, 8)], "whatever the number of files"


def test_splits_become_metadata(tmp_path: Path) -> None:
    datasets.DatasetDict(train=made(2), test=made(1)).save_to_disk(tmp_path / "d")
    found = entries(tmp_path / "d")
    assert [one.metadata["split"] for one in found] == ["train", "train", "test"]
    assert [one.origin.rpartition("/")[2] for one in found] == ["train#row=1", "train#row=2", "test#row=1"]
    assert len({one.id for one in found}) == 3


def test_a_selection_is_read_in_its_order(tmp_path: Path) -> None:
    made().select([3, 1]).save_to_disk(tmp_path / "d")
    assert [one.text for one in entries(tmp_path / "d")] == ["caption 3", "caption 1"]


def test_an_empty_data_set(tmp_path: Path) -> None:
    made(0).save_to_disk(tmp_path / "d")
    assert entries(tmp_path / "d") == []


def test_columns_as_asked(tmp_path: Path) -> None:
    made(1).rename_column("image", "a").save_to_disk(tmp_path / "d")
    (one,) = entries(tmp_path / "d", image_column="a", text_column="", metadata_columns=("caption",))
    assert isinstance(one.image, bytes)
    assert (one.text, one.metadata) == (None, {"caption": "caption 0"})
    with pytest.raises(BadSource, match=r"no column 'b'.*'a', 'caption', 'label'"):
        entries(tmp_path / "d", image_column="b")


def test_what_is_spoilt_is_told(tmp_path: Path) -> None:
    datasets.DatasetDict(train=made(2), test=made(1)).save_to_disk(tmp_path / "d")
    (file,) = (tmp_path / "d" / "test").glob("*.arrow")
    whole = file.read_bytes()
    file.write_bytes(whole[:50])
    found = entries(tmp_path / "d")
    assert [bool(one.problem) for one in found] == [False, False, True]
    file.unlink()
    assert [bool(one.problem) for one in entries(tmp_path / "d")] == [False, False, True]
    state = tmp_path / "d" / "train" / "state.json"
    read = json.loads(state.read_text())
    for wrong, sign in (
        ({**read, "_indices_files": [{"filename": "x"}]}, "flatten_indices"),
        ({**read, "_data_files": None}, "names no data files"),
        ([], "expected an object"),
    ):
        state.write_text(json.dumps(wrong))
        with pytest.raises(BadSource, match=sign):
            entries(tmp_path / "d")
    state.write_text("{")
    with pytest.raises(BadSource, match="cannot be read"):
        entries(tmp_path / "d")
    (tmp_path / "e").mkdir()
    with pytest.raises(BadSource, match=r"state\.json"):
        entries(tmp_path / "e", kind=SourceKind.DATASET)
