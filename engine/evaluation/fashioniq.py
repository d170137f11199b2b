"""FashionIQ: a garment and two sentences of what another one has instead (arXiv 1905.12794)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.encoder import Side
from engine.evaluation import paper
from engine.evaluation.errors import BadData
from engine.evaluation.files import field, picture, read_json
from engine.evaluation.ranking import best_ranks, recalls
from engine.evaluation.report import Report
from engine.evaluation.vectors import VectorCache
from engine.inputs import Composed, Image
from engine.views import FASHIONIQ_DRESS, FASHIONIQ_SHIRT

AT = (10, 50)
VIEWS = {"dress": FASHIONIQ_DRESS, "shirt": FASHIONIQ_SHIRT, "toptee": FASHIONIQ_SHIRT}
_LAYOUT = "FashionIQ's own: captions/cap.{kind}.{split}.json, image_splits/split.{kind}.{split}.json, images/NAME.png"
_STRIPPED = ".?, "  # from both ends of a caption; kongds/E5-V:retrieval.py


def orders(captions: Sequence[str]) -> tuple[str, str]:
    """The two captions as one edit, in both orders."""
    one, other = (said.strip(_STRIPPED) for said in captions)
    return f"{one}, {other}", f"{other}, {one}"


def fashioniq(folder: Path, vectors: VectorCache, split: str = "val") -> Report:
    """Recall at 10 and 50 for each kind of garment, and their averages; no picture is masked.

    The *unnormalised* vectors of both caption orders are added, as the reference does.

    Raises:
        BadData: not in the published layout.
    """
    metrics: dict[str, float] = {}
    counts: dict[str, int] = {}
    fingerprints: dict[str, str] = {}
    for kind, view in VIEWS.items():
        layout = _LAYOUT.format(kind=kind, split=split)
        captions = folder / "captions" / f"cap.{kind}.{split}.json"
        names: list[str] = read_json(folder / "image_splits" / f"split.{kind}.{split}.json", layout)
        index = {name: i for i, name in enumerate(names)}
        pictures = [picture(_place(folder / "images", name)) for name in names]
        edits: list[tuple[int, int, tuple[str, str]]] = []
        for one in read_json(captions, layout):
            said = field(one, "captions", list, captions)
            if len(said) != 2:
                raise BadData(f"{captions}: an entry has {len(said)} captions: expected two: {one}")
            places = [index.get(field(one, name, str, captions)) for name in ("candidate", "target")]
            if places[0] is None or places[1] is None:
                raise BadData(f"{captions}: an entry's picture is not in the split: {one}")
            edits.append((places[0], places[1], orders(said)))
        gallery = vectors.embed(pictures, view)
        both = [
            vectors.embed([_composed(pictures[c], said[i]) for c, _, said in edits], view, Side.QUERY, unit=False)
            for i in range(2)
        ]
        queries = both[0] + both[1]
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        metrics |= recalls(best_ranks(queries, gallery, [[target] for _, target, _ in edits]), AT, f"{kind} R@{{}}")
        counts |= {f"{kind} queries": len(edits), f"{kind} pictures": len(names)}
        fingerprints[view.name] = vectors.encoder.space(view).fingerprint
    for k in AT:
        metrics[f"average R@{k}"] = float(np.mean([metrics[f"{kind} R@{k}"] for kind in VIEWS]))
    return Report(
        task="fashioniq",
        data=str(folder),
        model=vectors.encoder.name,
        fingerprints=fingerprints,
        counts=counts,
        metrics=metrics,
        paper=paper.FASHIONIQ,
    )


def _place(folder: Path, name: str) -> Path:
    return next(
        (folder / f"{name}{end}" for end in (".png", ".jpg") if (folder / f"{name}{end}").exists()), folder / name
    )


def _composed(load: Callable[[], Image], edit: str) -> Callable[[], Composed]:
    return lambda: Composed(image=load(), edit=edit)
