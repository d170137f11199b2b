"""Removes items whose input is gone."""

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
    quarantine = job.store.quarantine(target.name)
    if not job.config.dry_run and quarantine.count():
        quarantine.release(_gone_from_quarantine(job))


def _gone_from_quarantine(job: "Job") -> list[str]:
    """Inputs of the same sources that were refused once and are not there any more."""
    assert job.target is not None
    entries = job.store.quarantine(job.target.name).list()
    refused_now = {one.uri for one in job.report.refused}
    if job.report.quarantined > len(refused_now):  # more than the report holds
        return []
    return [one.uri for one in entries if one.source == job.source and one.uri not in refused_now]
