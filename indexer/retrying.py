"""Tries what is in quarantine again, from where it came."""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from engine.config import EngineConfig
from indexer.entry import path_of
from indexer.errors import SourceNotFound
from indexer.job import JobConfig, Progress, index_paths
from indexer.report import Report
from indexer.sources.options import SourceOptions
from storage import Quarantined, Store


SECOND = re.compile(r"~[0-9a-f]{8}$")
"""What `indexer.reading_ahead` adds."""


@dataclass(kw_only=True)
class Retried:
    """How a retry went. tried: inputs in quarantine that were looked for; gone: that are not there any more, and were
    forgotten; unreachable: whose source cannot be opened, with the reason; reports: of each source's job."""

    tried: int
    gone: int
    unreachable: dict[str, str]
    reports: list[Report]

    @property
    def indexed(self) -> int:
        """Inputs that are in the collection now."""
        return sum(report.indexed + report.unchanged for report in self.reports)

    @property
    def quarantined(self) -> int:
        """Inputs that failed again."""
        return sum(report.quarantined for report in self.reports)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "tried": self.tried,
            "indexed": self.indexed,
            "quarantined": self.quarantined,
            "gone": self.gone,
            "unreachable": self.unreachable,
            "jobs": [report.as_dict() for report in self.reports],
        }


def retry(
    collection: str = "default",
    *,
    db: str = ".oneword",
    uris: Collection[str] = (),
    kinds: Collection[str] = (),
    model: str | EngineConfig = "auto",
    config: JobConfig = JobConfig(),  # noqa: B008 - it is frozen
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Retried:
    """Reads quarantined inputs again from their sources, and indexes those that can be.

    Args:
        uris, kinds: only these; empty: all.

    Raises:
        CollectionNotFound: no such collection.
        What `index_paths` raises, but for sources that are gone.
    """
    store = Store(db)
    store.open(collection)
    quarantine = store.quarantine(collection)
    wanted = [one for one in quarantine.list() if (not uris or one.uri in uris) and (not kinds or one.kind in kinds)]
    outcome = Retried(tried=len(wanted), gone=0, unreachable={}, reports=[])
    for source, origins in _by_source(wanted).items():
        told = json.loads(source)
        only = replace(config, only=frozenset(name for one in origins for name in _names(one)), reread=True)
        try:
            report = index_paths(
                told.pop("paths"),
                db=db,
                collection=collection,
                model=model,
                options=SourceOptions.from_dict(told),
                config=only,
                progress=progress,
                stop=stop,
                command=f"quarantine retry ({len(origins)} inputs)",
            )
        except SourceNotFound as error:
            outcome.unreachable[source] = str(error)
            continue
        outcome.reports.append(report)
        if not report.interrupted:
            failed = {one.uri for one in report.refused}
            if report.quarantined == len(failed):
                still = set(quarantine.get(origins))
                outcome.gone += quarantine.release(still - failed)
    return outcome


def _by_source(entries: Iterable[Quarantined]) -> dict[str, list[str]]:
    """Origins by their source; what was recorded without one is a file by itself."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        source = entry.source
        if not source and (path := path_of(entry.uri)):
            source = json.dumps({"paths": [str(path)], **SourceOptions().as_dict()})
        if source:
            found[source].append(entry.uri)
    return found


def _names(origin: str) -> set[str]:
    """What the input may be called by its source: a second one of the same id is kept with a digest after its name."""
    return {origin, SECOND.sub("", origin)}
