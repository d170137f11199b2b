"""Deletes items and quarantine records whose inputs are gone, at the end of a job."""

import logging
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from oneword.engine.files import whole
from oneword.indexer.coverage import is_absent, unmounted
from oneword.indexer.entry import SOURCE, id_of, input_of
from oneword.indexer.job import Job
from oneword.storage import Collection, Item

log = logging.getLogger(__name__)

LARGE = 0.1
"""Share of a collection above which a deletion is announced before it is done."""


def delete_missing(job: Job) -> None:
    """Deletes the items that belong to the paths and have no input in this run; in a dry run, counts them.

    Nothing is deleted where it is unknown what is gone: a folder, table or list could not be read to its end, or there
    was no input at all. What exists is never deleted, even if the job refused it: a file, or the rows of a table that
    this job did not read. Without `JobConfig.yes` nothing is deleted that came from an empty folder or by a link that
    leads nowhere, as where a disk is not mounted.
    """
    report, target = job.report, job.target
    if target is None:
        return
    if job.inputs.incomplete:
        report.kept = "nothing was deleted, because a folder, table, shard or list could not be read to its end"
        return
    if not report.inputs and not job.config.yes:
        report.kept = "nothing was deleted, because no input at all was found; pass --yes if that is meant"
        return
    gone: list[str] = []
    away: Counter[Path] = Counter()
    missing = _Missing(job)
    for items in target.scan(thumbnails=False):
        for item in missing.among(items):
            folder = None if job.config.yes else unmounted(str(item.metadata.get(SOURCE, whole(item.uri))))
            if folder is None:
                gone.append(item.id)
            else:
                away[folder] += 1
    if away:
        named = ", ".join(str(one) for one in list(away)[:3]) + (", ..." if len(away) > 3 else "")
        report.kept = (
            f"{away.total():,} items were kept, because the folder they came from is empty or a link to it leads "
            f"nowhere, as where a disk is not mounted ({named}); pass --yes to delete them"
        )
    if gone:
        report.version_before = target.version
        _announce(target, len(gone), dry_run=job.config.dry_run)
    report.deleted = len(gone) if job.config.dry_run else target.delete(gone)


class _Missing:
    """Finds items of a job's paths that have no input in it, and whose source is gone."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._read = job.inputs.containers
        self._absent = lru_cache(1024)(is_absent)  # once per table, not once per row

    def among(self, items: Sequence[Item]) -> list[Item]:
        """The missing ones of some items."""
        covered = [item for item in items if any(claim.covers(item) for claim in self._job.claims)]
        missing = set(self._job.seen.missing(list({input_of(item) for item in covered})))
        covered = [item for item in covered if input_of(item) in missing]
        files = [id_of(whole(item.uri)) for item in covered if SOURCE not in item.metadata]
        settled = self._job.seen.settled(files)
        return [item for item in covered if self._is_gone(item, settled)]

    def _is_gone(self, item: Item, settled: AbstractSet[str]) -> bool:
        source = item.metadata.get(SOURCE)
        if source is None:
            return id_of(whole(item.uri)) in settled or is_absent(whole(item.uri))
        return source in self._read or self._absent(str(source))


def _announce(target: Collection, count: int, *, dry_run: bool) -> None:
    total = target.count()
    if count > LARGE * total:
        log.warning(
            "%s %s of %s items of collection %r, whose inputs are gone; to go back: oneword restore %s %s",
            "would delete" if dry_run else "deleting",
            f"{count:,}",
            f"{total:,}",
            target.name,
            target.name,
            target.version,
        )


def settle_quarantine(job: Job, started: datetime) -> None:
    """After a complete pass: releases the refusals of the same paths that were not repeated.

    Their inputs are fixed or gone. Those of a disk that is not mounted now are kept.
    """
    if job.target is None or job.inputs.incomplete or not job.report.inputs:
        return
    quarantine = job.store.quarantine(job.target.name)
    for some in quarantine.batches():
        settled = [one.uri for one in some if one.source == job.source and one.last_tried < started]
        quarantine.release([one for one in settled if unmounted(one.partition("#")[0]) is None])
