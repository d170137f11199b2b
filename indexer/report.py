"""What a job did, in counts that add up, and where its time went."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oneword.indexer.load import FAULTS
from oneword.indexer.outcome import Loaded
from oneword.indexer.sources.metadata import SET_ASIDE
from oneword.indexer.stages import Stages
from oneword.storage import Item, Refused

COUNTS = ("inputs", "indexed", "added", "updated", "unchanged", "quarantined", "rows", "embedded", "deleted")
"""The counts of a job that the store's journal keeps."""

SHOWN = 1000
"""Refusals that a report holds in full; the quarantine has them all."""


def _faults(item: Item) -> list[str]:
    """What was left out of an item, by the names of `FAULTS`."""
    aside = item.metadata.get(SET_ASIDE)
    return [name for name in FAULTS if isinstance(aside, list) and any(one.startswith(f"{name}: ") for one in aside)]


@dataclass(kw_only=True)
class Report:
    """Counts of a job's inputs, kept up to date while it runs.

    `inputs` = `indexed` + `unchanged` + `quarantined`, always. Files of other kinds are not inputs; they are counted in
    `ignored`, by suffix.

    Args:
        added, updated: inputs whose items are new, or replace others. unchanged: stored as they are.
        quarantined: inputs that could not be indexed. kinds: how many for which kind of reason.
        refused: the first of them, with reasons.
        set_aside: values that were not of their metadata key's kind, by key (`oneword.indexer.sources.metadata.fit`),
            and caption files and texts in images that could not be read, whose images are indexed without them.
        shortened: inputs with a text that is longer than the model reads.
        rows: items written: a long text is one input and many items.
        embedded: vectors that were computed. reused: that were taken from equal content.
        deleted: items removed because their input is gone. version_before: the version that still has them, for
            `oneword restore`; None if none was removed.
        kept: why nothing was removed with `delete_missing`.
        interrupted: ended early by a signal. dry_run: nothing was embedded or written.
        seconds: in all. stages: one after the other, which add up to them; beside: what threads did meanwhile; see
            `oneword.indexer.stages`.
        peak_mib: most memory of this process so far; largest_worker_mib: of a process that decoded images.
    """

    model: str
    collection: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)
    shortened: int = 0
    rows: int = 0
    embedded: int = 0
    reused: int = 0
    deleted: int = 0
    version_before: int | None = None
    kept: str | None = None
    interrupted: bool = False
    dry_run: bool = False
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    peak_mib: float | None = None
    largest_worker_mib: float | None = None

    @property
    def indexed(self) -> int:
        """Inputs written: new and changed ones."""
        return self.added + self.updated

    @property
    def inputs(self) -> int:
        """Total inputs: indexed + unchanged + quarantined."""
        return self.indexed + self.unchanged + self.quarantined

    def count(self, good: Sequence[Loaded], refused: Sequence[Refused], unchanged: int) -> None:
        """Adds what was committed."""
        before = Counter(one.before for one in good)
        self.added += before["absent"]
        self.updated += before["differing"]
        self.unchanged += unchanged + before["touched"]
        self.rows += sum(one.rows for one in good)
        self.shortened += sum(one.shortened for one in good)
        self.set_aside.update(name for one in good for item in one.items[:1] for name in _faults(item))
        self.quarantined += len(refused)
        self.kinds.update(one.kind for one in refused)
        self.refused += refused[: max(0, SHOWN - len(self.refused))]

    def measure(self) -> None:
        """Notes the memory that was used, where the system reports it."""
        try:
            import resource
        except ImportError:  # Windows
            return
        unit = 2**20 if sys.platform == "darwin" else 1024
        self.peak_mib = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
        self.largest_worker_mib = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit, 1)

    def time(self, stages: Stages) -> None:
        """Notes the time that has passed."""
        self.stages, self.beside = stages.as_dicts()
        self.seconds = sum(self.stages.values())

    def counts(self) -> dict[str, int]:
        """See `COUNTS`."""
        return {name: getattr(self, name) for name in COUNTS}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **vars(self),
            **self.counts(),
            "ignored": dict(sorted(self.ignored.items())),
            "set_aside": dict(sorted(self.set_aside.items())),
            "seconds": round(self.seconds, 3),
            "inputs_per_second": round(self.inputs / self.seconds, 1) if self.seconds else None,
            "kinds": dict(self.kinds.most_common()),
            "refused": [{"uri": one.uri, "kind": one.kind, "reason": one.reason} for one in self.refused],
        }
