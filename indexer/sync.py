"""What is done once all inputs have been met: items and refusals of those that are gone go."""

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.job import Job


def delete_missing(job: "Job") -> None:
    """Deletes the paths' items that no input of this run stands for; in a dry run, counts them.

    Nothing is deleted where it cannot be told what is gone: a folder, table or shard could not be read to its end, or
    there was no input at all.
    """
    report, target = job.report, job.target
    if target is None:
        return
    if job.inputs.incomplete:
        report.kept = "nothing was deleted, because a folder, table or shard could not be read to its end"
        return
    if not report.inputs:
        report.kept = "nothing was deleted, because no input at all was found; drop the collection if that is meant"
        return
    gone: list[str] = []
    for items in target.scan(thumbnails=False):
        mine = {item.id: str(item.metadata.get("document", item.id)) for item in items if job.inputs.own(item)}
        missing = set(job.seen.missing(list(set(mine.values()))))
        gone += [item_id for item_id, document in mine.items() if document in missing]
    report.deleted = len(gone) if job.config.dry_run else target.delete(gone)


def settle_quarantine(job: "Job", started: datetime) -> None:
    """After a pass over all inputs: what was refused when the same paths were indexed before, and is not again, is
    mended or gone."""
    if job.target is None or job.inputs.incomplete:
        return
    quarantine = job.store.quarantine(job.target.name)
    for some in quarantine.batches():
        quarantine.release([one.uri for one in some if one.source == job.source and one.last_tried < started])
