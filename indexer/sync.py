"""What is done once all inputs have been met: items and refusals of those that are gone go."""

import logging
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.coverage import empty_folder, still_there
from storage import Collection, Item

if TYPE_CHECKING:
    from indexer.job import Job

log = logging.getLogger(__name__)

LARGE = 0.1
"""Share of a collection of which a deletion is announced before it is done."""


def delete_missing(job: "Job") -> None:
    """Deletes the items that the paths answer for and no input of this run stands for; in a dry run, counts them.

    Nothing is deleted where it cannot be known what is gone: a folder, table or list could not be read to its end, or
    there was no input at all. A file that exists is never deleted, whatever the job made of it, and without
    `JobConfig.yes` nothing from a folder that is empty, as the folder of a disk that is not mounted is.
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
    empty: Counter[Path] = Counter()
    for items in target.scan(thumbnails=False):
        for item in _missing(job, items):
            folder = None if job.config.yes else empty_folder(item)
            if folder is None:
                gone.append(item.id)
            else:
                empty[folder] += 1
    if empty:
        named = ", ".join(str(one) for one in list(empty)[:3]) + (", ..." if len(empty) > 3 else "")
        report.kept = (
            f"{empty.total():,} items were kept, because the folder they came from is empty, as where a disk is not "
            f"mounted ({named}); pass --yes to delete them"
        )
    if gone:
        _announce(target, len(gone), dry_run=job.config.dry_run)
    report.deleted = len(gone) if job.config.dry_run else target.delete(gone)


def _missing(job: "Job", items: list[Item]) -> list[Item]:
    """Those that no input of this run stands for, though it would have met them."""
    covered = [item for item in items if job.coverage.covers(item)]
    documents = {str(item.metadata.get("document", item.id)) for item in covered}
    missing = set(job.seen.missing(list(documents)))
    return [
        item for item in covered if str(item.metadata.get("document", item.id)) in missing and not still_there(item)
    ]


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


def settle_quarantine(job: "Job", started: datetime) -> None:
    """After a pass over all inputs: what was refused when the same paths were indexed before, and is not again, is
    mended or gone."""
    if job.target is None or job.inputs.incomplete or not job.report.inputs:
        return
    quarantine = job.store.quarantine(job.target.name)
    for some in quarantine.batches():
        quarantine.release([one.uri for one in some if one.source == job.source and one.last_tried < started])
