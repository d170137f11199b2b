"""What the clients of one generator have met, together."""

import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

SHOWN = 20  # of what was wrong, so many are told in full


@dataclass(kw_only=True)
class Tally:
    """Counts; `alive`, `deleted` and `uncertain` are what the store must hold afterwards.

    alive: texts by id of what was acknowledged as stored. deleted: ids acknowledged as gone. uncertain: ids of writes
    that got no answer, or one that leaves it open (504).
    version: the highest acknowledged; whoever asks later must not be told an older one.
    kept: (id, text) of items that are left alone for long, for others to find.
    """

    began: float = field(default_factory=time.monotonic)
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answered: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)
    alive: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    version: int = 0
    kept: list[tuple[str, str]] = field(default_factory=list)
    first_lost: float | None = None
    requests: int = 0

    def fault(self, kind: str, detail: str) -> None:
        """Something that must not be."""
        self.wrong[kind] += 1
        if len(self.details) < SHOWN:
            self.details.append(f"{kind}: {detail[:600]}")

    def lost(self, kind: str) -> None:
        """A request that got no answer."""
        self.ends[kind] += 1
        if self.first_lost is None:
            self.first_lost = time.monotonic()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready. Times are milliseconds; `first_lost` is the machine's monotonic clock, in seconds."""
        seconds = time.monotonic() - self.began
        return {
            "requests": self.requests,
            "seconds": round(seconds, 2),
            "per_second": round(self.requests / seconds, 1),
            "statuses": dict(self.statuses),
            "codes": dict(self.codes),
            "ends": dict(self.ends),
            "wrong": dict(self.wrong),
            "details": self.details,
            "answered": {str(client): count for client, count in sorted(self.answered.items())},
            "ms": {kind: _spread(times) for kind, times in sorted(self.took.items())},
            "first_lost": self.first_lost,
            "alive": self.alive,
            "deleted": sorted(self.deleted),
            "uncertain": sorted(self.uncertain),
        }


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))], 1)

    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "most": round(1000 * ordered[-1], 1)}
