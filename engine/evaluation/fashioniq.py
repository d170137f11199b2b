"""FashionIQ: a garment and two sentences of what another one has instead (arXiv 1905.12794)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from oneword.engine.encoder import Side
from oneword.engine.evaluation import paper
from oneword.engine.evaluation.files import BadData, field, image_file, read_json
from oneword.engine.evaluation.ranking import best_ranks, recalls
from oneword.engine.evaluation.report import Report
from oneword.engine.evaluation.tables import cell, is_table, read_table
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.inputs import Composed, Image
from oneword.engine.views import FASHIONIQ_DRESS, FASHIONIQ_SHIRT

AT = (10, 50)
VIEWS = {"dress": FASHIONIQ_DRESS, "shirt": FASHIONIQ_SHIRT, "toptee": FASHIONIQ_SHIRT}
_LAYOUT = "FashionIQ's own: captions/cap.{kind}.{split}.json, image_splits/split.{kind}.{split}.json, images/NAME.png"
_ENDS = (".png", ".jpg", ".jpeg")
_STRIPPED = ".?, "  # from both ends of a caption; kongds/E5-V:retrieval.py


def orders(captions: Sequence[str]) -> tuple[str, str]:
    """The two captions as one edit, in both orders."""
    one, other = (texts.strip(_STRIPPED) for texts in captions)
    return f"{one}, {other}", f"{other}, {one}"


@dataclass(frozen=True, kw_only=True)
class Garments:
    """One kind's images, and its queries: candidate, target, and the captions in both orders."""

    images: Sequence[Callable[[], Image]]
    queries: Sequence[tuple[int, int, tuple[str, str]]]


def read_fashioniq(folder: Path, kind: str, split: str = "val") -> Garments:
    """Reads one kind, in FashionIQ's own layout, or from the tables `fashioniq_{split}` and `fashioniq_{split}_imgs`.

    Raises:
        BadData: neither, or malformed.
    """
    if is_table(folder / f"fashioniq_{split}"):
        table = read_table(folder / f"fashioniq_{split}", split, "category", "caption", "candidate_id", "target_id")
        table = table.remove_columns([name for name in ("candidate",) if name in table.column_names])
        seen = read_table(folder / f"fashioniq_{split}_imgs", split, "category", "id", images="img")
        rows = [row for row, category in enumerate(seen["category"]) if category == kind]
        names = [seen["id"][row] for row in rows]
        images = [cell(seen, row, "img") for row in rows]
        entries = [
            {"captions": row["caption"], "candidate": row["candidate_id"], "target": row["target_id"]}
            for row in table
            if row["category"] == kind
        ]
        where = folder / f"fashioniq_{split}"
    else:
        layout = _LAYOUT.format(kind=kind, split=split)
        where = folder / "captions" / f"cap.{kind}.{split}.json"
        names = read_json(folder / "image_splits" / f"split.{kind}.{split}.json", layout, list)
        if not all(isinstance(name, str) for name in names):
            raise BadData(f"{where}: the split names images by what is not a string: expected {layout}")
        folders = (folder / "images", folder / "images" / kind)
        images = [image_file(*(place / f"{name}{end}" for place in folders for end in _ENDS)) for name in names]
        entries = read_json(where, layout, list)
    index = {name: i for i, name in enumerate(names)}
    queries: list[tuple[int, int, tuple[str, str]]] = []
    for one in entries:
        texts = field(one, "captions", list, where)
        if len(texts) != 2 or not all(isinstance(caption, str) for caption in texts):
            raise BadData(f"{where}: an entry has captions {texts!r}: expected two sentences: {one}")
        places = [index.get(field(one, name, str, where)) for name in ("candidate", "target")]
        if places[0] is None or places[1] is None:
            raise BadData(f"{where}: an entry's image is not in the split: {one}")
        queries.append((places[0], places[1], orders(texts)))
    if not queries:
        raise BadData(f"{where}: has no queries of {kind}: expected at least one")
    return Garments(images=images, queries=queries)


def fashioniq(folder: Path, vectors: VectorCache, split: str = "val") -> Report:
    """Recall at 10 and 50 for each kind of garment, and their averages; no image is masked.

    The *unnormalized* vectors of both caption orders are added, as the reference does.

    Raises:
        BadData: not in a published layout.
    """
    metrics: dict[str, float] = {}
    counts: dict[str, int] = {}
    for kind, own in VIEWS.items():
        data = read_fashioniq(folder, kind, split)
        view = vectors.view(own)
        gallery = vectors.embed(data.images, view)
        both = [
            vectors.embed(
                [partial(_composed, data.images[c], texts[i]) for c, _, texts in data.queries],
                view,
                Side.QUERY,
                unit=False,
            )
            for i in range(2)
        ]
        queries = both[0] + both[1]
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        ranks = best_ranks(queries, gallery, [[target] for _, target, _ in data.queries])
        metrics |= recalls(ranks, AT, f"{kind} R@{{}}")
        counts |= {f"{kind} queries": len(data.queries), f"{kind} images": len(data.images)}
    for k in AT:
        metrics[f"average R@{k}"] = float(np.mean([metrics[f"{kind} R@{k}"] for kind in VIEWS]))
    return Report.of(
        vectors,
        list(dict.fromkeys(map(vectors.view, VIEWS.values()))),
        task="fashioniq",
        data=str(folder),
        counts=counts,
        metrics=metrics,
        paper=paper.FASHIONIQ,
    )


def _composed(load: Callable[[], Image], edit: str) -> Composed:
    return Composed(image=load(), edit=edit)
