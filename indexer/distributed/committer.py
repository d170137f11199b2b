"""The one writer of a job on many machines: commits fragments that workers wrote, and writes what only it may write."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from oneword.indexer.distributed.rows import InFragment
from oneword.indexer.entry import Loaded, Outcome
from oneword.indexer.write import BYTES, Writer
from oneword.storage import Refused

INPUTS = 65_536
"""A commit is due at so many inputs: 32 fragments, if they are full."""


class Committer(Writer):
    """See `Writer`. What is in fragments becomes part of the table in one commit for all; changed items, split texts
    and items with new metadata come by themselves."""

    def commit(self, done: Sequence[Outcome]) -> None:
        """Fragments, then the rest; cut short anywhere, the next run makes up for it."""
        inside = [one for one in done if isinstance(one, InFragment)]
        if fragments := [fragment for one in inside for fragment in one.fragments]:
            self._collection.commit_fragments(fragments)
        if self._quarantined_before:
            self._quarantine.release([one.origin for one in inside])
        self._report.count(inside, [], 0)
        now = datetime.now(UTC)  # by this clock: what was refused before this job began is told by the time
        rest = [one for one in done if not isinstance(one, InFragment)]
        super().commit([replace(one, at=now) if isinstance(one, Refused) else one for one in rest])

    def _full(self, buffer: Sequence[Outcome]) -> bool:
        return len(buffer) >= INPUTS or sum(one.bytes for one in buffer if isinstance(one, Loaded)) >= BYTES
