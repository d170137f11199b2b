"""What a job did, in counts that add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from storage import Refused


@dataclass(kw_only=True)
class Report:
    """Counts of a job's inputs, kept up to date while it runs.

    `inputs` = `indexed` + `unchanged` + `quarantined`, always; files of other kinds are `ignored` by suffix
    and are no inputs.
    """

    model: str
    collection: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def indexed(self) -> int:
        """Items written: new and changed ones."""
        return self.added + self.updated

    @property
    def quarantined(self) -> int:
        """Inputs that could not be indexed; each has its reason in `refused` and in the collection."""
        return len(self.refused)

    @property
    def inputs(self) -> int:
        """All that was looked at and is no stranger to us."""
        return self.indexed + self.unchanged + self.quarantined

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "collection": self.collection,
            "model": self.model,
            "inputs": self.inputs,
            "indexed": self.indexed,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "quarantined": self.quarantined,
            "ignored": dict(sorted(self.ignored.items())),
            "seconds": round(self.seconds, 3),
            "refused": [{"uri": one.uri, "kind": one.kind, "reason": one.reason} for one in self.refused],
        }
