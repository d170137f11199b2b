"""What an evaluation says."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from oneword.engine.evaluation import paper
from oneword.engine.views import View

if TYPE_CHECKING:
    from oneword.engine.evaluation.vectors import VectorCache


@dataclass(frozen=True, kw_only=True)
class Report:
    """A task's figures.

    Args:
        task: its name.
        data: the folder.
        model: the encoder's name.
        fingerprints: of the spaces used, by view.
        counts: of queries, gallery entries and the like.
        metrics: in percent, by name.
        paper: E5-V's own figures for metrics of the same name, where the paper has them (arXiv 2407.12580).
        preprocessing: of images: standard or as-published; None where there are none.
        notes: where this run differs from the reference's protocol.
    """

    task: str
    data: str
    model: str
    fingerprints: dict[str, str]
    counts: dict[str, int]
    metrics: dict[str, float]
    paper: dict[str, float] = field(default_factory=dict)
    preprocessing: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, vectors: "VectorCache", views: Sequence[View], *, images: bool = True, **fields: Any) -> Self:
        """With what the model says of itself.

        Args:
            views: those that were used.
            images: whether there were any; the report says how they were prepared.
            fields: the others.
        """
        if images:
            fields["preprocessing"] = vectors.preprocessing(views[0])
            if fields["paper"]:
                fields["notes"] = (paper.images_note(fields["preprocessing"]), *fields.get("notes", ()))
        fingerprints = {view.name: vectors.encoder.space(view).fingerprint for view in views}
        return cls(model=vectors.encoder.name, fingerprints=fingerprints, **fields)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)
