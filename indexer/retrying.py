"""Tries quarantined inputs again, from their sources."""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.errors import BadRoot
from oneword.engine.roots import Roots
from oneword.indexer.entry import path_of
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.index import Progress, index_paths
from oneword.indexer.options import JobConfig, SourceOptions
from oneword.indexer.report import Report
from oneword.storage import Quarantined, Store

SECOND = re.compile(r"~[0-9a-f]{8}$")
"""What `oneword.indexer.changes` adds."""


@dataclass(kw_only=True)
class Retried:
    """How a retry went.

    Args:
        tried: inputs in quarantine that were looked for.
        indexed: that are in the collection now. quarantined: that failed again.
        gone: that no longer exist, and were forgotten.
        unreachable: sources that cannot be opened, with the reason.
        reports: of each source's job.
    """

    tried: int
    indexed: int = 0
    quarantined: int = 0
    gone: int = 0
    unreachable: dict[str, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

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
    model: str | EngineConfig | Encoder = "auto",
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
    chosen = [one for one in quarantine.list() if (not uris or one.uri in uris) and (not kinds or one.kind in kinds)]
    outcome = Retried(tried=len(chosen))
    for source, origins in _by_source(chosen).items():
        recorded = json.loads(source)
        names = frozenset(name for one in origins for name in _names(one))
        began = datetime.now(UTC)
        try:
            report = index_paths(
                recorded.pop("paths"),
                db=db,
                collection=collection,
                model=model,
                config=replace(
                    config,
                    only=names,
                    reread=names <= set(origins),  # not all rows of a table for the sake of one
                    chunks=recorded.pop("chunks", config.chunks),
                    take_over=recorded.pop("take_over", config.take_over),
                    ocr=recorded.pop("ocr", config.ocr),
                    roots=_roots(recorded.pop("roots", ()), config.roots),
                ),
                options=SourceOptions.from_dict(recorded),
                progress=progress,
                stop=stop,
                command=f"quarantine retry ({len(origins)} inputs)",
            )
        except (SourceNotFound, BadSource, BadRoot) as error:
            outcome.unreachable[source] = str(error)
            continue
        outcome.reports.append(report)
        left = quarantine.get(origins)
        again = {uri for uri, one in left.items() if one.last_tried >= began}
        released = len(origins) - len(left)
        outcome.quarantined += len(again)
        if not report.interrupted:
            away = quarantine.release(left.keys() - again)
            renamed = min(away, max(0, report.indexed - released))  # repaired rows, which have their ids as names now
            outcome.gone += away - renamed
            released += renamed
        outcome.indexed += released
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


def _roots(recorded: Sequence[str], given: tuple[str, ...]) -> tuple[str, ...]:
    """The roots of the job, as far as they are in those given now. Raises BadSource for none."""
    if not recorded or not given:
        return tuple(recorded) or given
    now = Roots.of(given)
    if not (both := tuple(one for one in recorded if now.allow(one))):
        raise BadSource("none of the roots of its job is in the roots given; give others")
    return both


def _names(origin: str) -> set[str]:
    """What the input may be called by its source when it is repaired.

    A second one of the same id is kept with a digest after its name; and a row whose id could not be read has one
    now, so that its table is looked through.
    """
    table, _, inside = origin.partition("#")
    return {origin, SECOND.sub("", origin)} | ({table} if inside.startswith("row=") else set())
