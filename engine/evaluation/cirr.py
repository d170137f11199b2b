"""CIRR: an image and a change, among all images of the split and among a few alike (arXiv 2108.04024)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from oneword.engine.encoder import Side, Vectors
from oneword.engine.evaluation import paper
from oneword.engine.evaluation.files import BadData, field, image_file, read_json
from oneword.engine.evaluation.ranking import best_ranks, recalls, top
from oneword.engine.evaluation.report import Report
from oneword.engine.evaluation.tables import cell, is_table, read_table
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.inputs import Composed, Image
from oneword.engine.views import CIRR

AT = (1, 5, 10, 50)
SUBSET_AT = (1, 2, 3)
_LAYOUT = "CIRR's own: captions/cap.rc2.{split}.json, image_splits/split.rc2.{split}.json, and the images it names"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A query: the pair's number, places in the gallery, and the change in words. `target` is None in a test split."""

    pair: int
    reference: int
    target: int | None
    subset: tuple[int, ...]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Cirr:
    """A split: the gallery's names and images, and the queries."""

    names: Sequence[str]
    images: Sequence[Callable[[], Image]]
    entries: Sequence[Entry]


def read_cirr(folder: Path, split: str = "val") -> Cirr:
    """Reads a split, in CIRR's own layout, or as the tables `cirr_{split}` and `cirr_imgs` that E5-V was measured with.

    Images may be in `img_raw`, as Cuberick-Orion/CIRR says, or beside `captions` and `image_splits`; these two may be
    in a folder `cirr` of their own. The tables do not say which images make a set.

    Raises:
        BadData: neither, or malformed.
    """
    if is_table(folder / f"cirr_{split}"):
        return _tables(folder, split)
    root = folder / "cirr" if (folder / "cirr" / "captions").is_dir() else folder
    captions = root / "captions" / f"cap.rc2.{split}.json"
    splits = root / "image_splits" / f"split.rc2.{split}.json"
    layout = _LAYOUT.format(split=split)
    places: dict[str, str] = read_json(splits, layout, dict)
    if not all(isinstance(value, str) for value in places.values()):
        raise BadData(f"{splits}: names images by what is not a string: expected {layout}")
    names = list(places)
    index = {name: i for i, name in enumerate(names)}

    def place(name: Any) -> int:
        if not isinstance(name, str) or name not in index:
            raise BadData(f"{captions}: names image {name!r}: expected one that is in {splits}")
        return index[name]

    entries = []
    for one in read_json(captions, layout, list):
        subset = field(field(one, "img_set", dict, captions), "members", list, captions)
        target = one.get("target_hard")
        entries.append(
            Entry(
                pair=field(one, "pairid", int, captions),
                reference=place(field(one, "reference", str, captions)),
                target=None if target is None else place(target),
                subset=tuple(place(name) for name in subset),
                caption=field(one, "caption", str, captions),
            )
        )
    _check_asked(entries)
    roots = dict.fromkeys((root, root / "img_raw", folder, folder / "img_raw"))
    images = [image_file(*(one / places[name] for one in roots)) for name in names]
    return Cirr(names=names, images=images, entries=entries)


def _tables(folder: Path, split: str) -> Cirr:
    queries = read_table(folder / f"cirr_{split}", split, "candidate_id", "caption")
    seen = read_table(folder / "cirr_imgs", split, "id", images="img")
    names = list(seen["id"])
    index = {name: i for i, name in enumerate(names)}
    try:
        entries = [
            Entry(
                pair=int(row.get("pairid", number)),
                reference=index[row["candidate_id"]],
                target=index[row["target_id"]] if row.get("target_id") else None,
                subset=(),
                caption=row["caption"],
            )
            for number, row in enumerate(
                queries.remove_columns([c for c in ("candidate",) if c in queries.column_names])
            )
        ]
    except KeyError as error:
        raise BadData(f"{folder}: cirr_{split} names image {error}: expected one of cirr_imgs") from None
    return Cirr(names=names, images=[cell(seen, i, "img") for i in range(len(names))], entries=entries)


def cirr(data: Cirr, where: str, vectors: VectorCache) -> Report:
    """Recall over the split with the reference masked, in the subset, and that of the unedited reference."""
    targets = [[entry.target] for entry in data.entries if entry.target is not None]
    if len(targets) < len(data.entries):
        raise BadData(f"{where}: queries have no target_hard: expected the validation split; for test use --submission")
    queries, gallery = _embedded(data, vectors)
    references = [entry.reference for entry in data.entries]
    masked = [[reference] for reference in references]
    metrics = recalls(best_ranks(queries, gallery, targets, masked), AT)
    if outside := _outside(data):
        metrics |= recalls(best_ranks(queries, gallery, targets, outside), SUBSET_AT, "subset R@{}")
        metrics["average of R@5 and subset R@1"] = (metrics["R@5"] + metrics["subset R@1"]) / 2
    metrics |= recalls(best_ranks(gallery[references], gallery, targets, masked), AT, "unedited R@{}")
    return Report.of(
        vectors,
        [vectors.view(CIRR)],
        task="cirr",
        data=where,
        counts={"queries": len(data.entries), "images": len(data.names)},
        metrics=metrics,
        paper=paper.CIRR_TEST,
        notes=("the paper's figures are of the test split",),
    )


def submission(data: Cirr, vectors: VectorCache, folder: Path) -> list[Path]:
    """The files that CIRR's test server takes: 50 names a query, and 3 of its subset if the data have subsets.

    Returns:
        What the main process has written; nothing on the others.
    """
    queries, gallery = _embedded(data, vectors)
    if not vectors.processes.main:
        return []
    kinds = {"recall": ([[entry.reference] for entry in data.entries], 50), "recall_subset": (_outside(data), 3)}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for metric, (masked, count) in kinds.items():
        if not masked:
            continue
        found = top(queries, gallery, count, masked).tolist()
        answers = {
            str(entry.pair): [data.names[i] for i in row if i not in set(out)]
            for entry, row, out in zip(data.entries, found, masked, strict=True)
        }
        path = folder / f"cirr-test-{metric}.json"
        path.write_text(json.dumps({"version": "rc2", "metric": metric} | answers), encoding="utf-8")
        written.append(path)
    return written


def _outside(data: Cirr) -> list[list[int]]:
    """For each query the images that are not in its subset, and its reference; empty if the data have no subsets."""
    if not all(entry.subset for entry in data.entries):
        return []
    everyone = set(range(len(data.names)))
    return [[*(everyone - set(entry.subset)), entry.reference] for entry in data.entries]


def _check_asked(entries: Sequence[Entry]) -> None:
    if not entries:
        raise BadData("the split has no queries: expected at least one")


def _embedded(data: Cirr, vectors: VectorCache) -> tuple[Vectors, Vectors]:
    """Queries and gallery."""
    _check_asked(data.entries)
    view = vectors.view(CIRR)
    gallery = vectors.embed(data.images, view)

    def composed(entry: Entry) -> Composed:
        return Composed(image=data.images[entry.reference](), edit=entry.caption)

    return vectors.embed([partial(composed, entry) for entry in data.entries], view, Side.QUERY), gallery
