"""What an evaluation says."""

from dataclasses import asdict, dataclass, field
from typing import Any


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
        preprocessing: of pictures: standard or as-published; None where there are none.
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

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)
