"""Images with captions: Flickr30K and COCO in Karpathy's layout, or a `datasets` folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneword.engine.evaluation.files import BadData, field, image_file, read_json
from oneword.engine.evaluation.tables import cell, is_table, read_table
from oneword.engine.inputs import Image

CAPTIONS = 5  # of an image, at most; COCO has a few with six or seven, which the usual protocol drops
_KARPATHY = "dataset_flickr30k.json or dataset_coco.json (Karpathy's splits), beside the images"
_FLICKR = ("flickr30k-images", "flickr30k_images", "flickr30k_images/flickr30k_images")
_TABLES = ("dataset_info.json", "dataset_dict.json")  # what `datasets` writes
_TEXTS = ("text", "caption", "captions", "sentences", "raw")


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """Images, each with its captions.

    Args:
        images: each loads one.
        captions: of each image.
        name: "flickr30k", "coco" or "other".
        whole: whether it is all of the test split.
    """

    images: Sequence[Callable[[], Image]]
    captions: Sequence[Sequence[str]]
    name: str
    whole: bool = True


def read_captioned(folder: Path, split: str = "test", limit: int | None = None) -> Captioned:
    """Reads a data set.

    It may be Karpathy's `dataset_*.json`, here or in a folder such as `karpathy`, with the images here, under the
    `filepath` that an entry names (`val2014`), or in `images`, `flickr30k-images` or `flickr30k_images`; a folder
    written by `datasets.save_to_disk`; or a folder of parquet files with columns `image` and `text` (a sentence or a
    list of them). Captions are used as they are, with white space at their ends, as the reference does.

    Raises:
        BadData: none of these, or malformed.
    """
    if not folder.is_dir():
        raise BadData(f"{folder}: no such folder: expected {_KARPATHY}, or a `datasets` folder")
    described = _described(folder, "dataset_*.json") or _described(folder, "*/dataset_*.json")
    if len(described) > 1:  # as Karpathy's archive has them, side by side
        described = [path for path in described if path.stem.removeprefix("dataset_") in folder.name.lower()]
        if len(described) != 1:
            raise BadData(f"{folder}: has several dataset_*.json: expected the one that belongs to its images")
    if described:
        return _karpathy(folder, described[0], split, limit)
    return _datasets(folder, split, limit)


def _described(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if path.name not in _TABLES]


def _karpathy(folder: Path, path: Path, split: str, limit: int | None) -> Captioned:
    listed = field(read_json(path, _KARPATHY), "images", list, path)
    entries = [one for one in listed if field(one, "split", str, path) == split]
    if not entries:
        raise BadData(f"{path}: no image has split {split!r}: expected some; Karpathy's are train, val, test")
    images, captions = [], []
    for entry in entries[:limit]:
        sentences = [field(one, "raw", str, path) for one in field(entry, "sentences", list, path)]
        if not sentences or not all(map(str.strip, sentences)):
            raise BadData(
                f"{path}: {entry.get('filename')} has sentences {sentences!r}: expected some, none of them blank"
            )
        images.append(image_file(*_places(folder, entry, path)))
        captions.append(sentences[:CAPTIONS])
    whole = split == "test" and limit is None
    return Captioned(images=images, captions=captions, name=_known(path.name), whole=whole)


def _known(name: str) -> str:
    return next((known for known in ("flickr30k", "coco") if known in name.lower()), "other")


def _places(folder: Path, entry: dict[str, Any], path: Path) -> list[Path]:
    name: str = field(entry, "filename", str, path)
    within = str(entry.get("filepath") or ".")  # COCO's: val2014
    return [folder / one / name for one in dict.fromkeys((within, ".", "images", f"images/{within}", *_FLICKR))]


def _datasets(folder: Path, split: str, limit: int | None) -> Captioned:
    if not is_table(folder):
        raise BadData(f"{folder}: holds no data set: expected {_KARPATHY}, or a `datasets` folder")
    table = read_table(folder, split, images="image")
    texts = next((name for name in _TEXTS if name in table.column_names), None)
    if texts is None:
        raise BadData(f"{folder}: has columns {', '.join(table.column_names)}: expected one of {', '.join(_TEXTS)}")
    count = len(table) if limit is None else min(limit, len(table))
    sentences = [one if isinstance(one, list) else [one] for one in table.select_columns([texts])[:count][texts]]
    for row, captions in enumerate(sentences):
        if not captions or not all(isinstance(one, str) and one.strip() for one in captions):
            raise BadData(f"{folder}: row {row} has {texts} = {captions!r}: expected a sentence or a list of them")
    return Captioned(
        images=[cell(table, i, "image") for i in range(count)],
        captions=[captions[:CAPTIONS] for captions in sentences],
        name=_known(folder.name),
        whole=split == "test" and limit is None,
    )
