"""The vectors of a group of inputs: equal content is embedded once, also across groups and runs."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.embedding import Started, embed
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Input
from oneword.indexer.comparison import same_content, stale_passages, unchanged
from oneword.indexer.loading import Loaded, name_of, refuse
from oneword.indexer.reading_ahead import Outcome, Ready, Unchanged
from oneword.indexer.writing import ROWS, Done, Embedded
from oneword.storage import Item, Refused

if TYPE_CHECKING:
    from oneword.indexer.distributed.settings import WorkerJob
    from oneword.indexer.job import Job

REMEMBERED = 3 * ROWS
"""Vectors kept in memory, in half precision as the store keeps them: more than are ever on their way into the table."""


class Embedding:
    """Turns what was read into what is to be written."""

    def __init__(self, job: "Job | WorkerJob") -> None:
        self._job = job
        self._recent: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._coming = set[str]()

    def done(self, group: Sequence[Outcome]) -> list[Done]:
        """The outcomes of a group, with vectors; in a dry run, with none."""
        return self.begin(group).result()

    def begin(self, group: Sequence[Outcome]) -> "BegunGroup":
        """Looks up what is known, and has the encoder prepare the rest.

        One thread begins groups, and one ends them, in the same order.
        """
        done: list[Done] = []
        fresh: list[Ready] = []
        for one in group:
            if not isinstance(one, Ready):
                done.append(one)
            elif unchanged(one.loaded, one.stored):
                done.append(Unchanged(origin=one.loaded.origin))
            else:
                fresh.append(one)
        contents = {piece.item.content_hash: piece.content for one in fresh for piece in one.loaded.pieces}
        if self._job.config.dry_run:
            return BegunGroup(done, fresh, lambda: (dict.fromkeys(contents, None), {}), None)
        # Before what is in memory, where vectors that are coming now may be in a moment.
        coming = {one: content for one, content in contents.items() if one in self._coming}
        rest = {one: content for one, content in contents.items() if one not in coming}
        known = self._known(rest)
        started = Started(
            {one: content for one, content in rest.items() if one not in known}, self._job.encoder, self._job.view
        )
        self._coming.update(started.contents)
        return BegunGroup(done, fresh, lambda: self._vectors(known, coming, started), started)

    def _known(self, contents: Iterable[str]) -> dict[str, Any]:
        """By hash: from memory and from the table."""
        job = self._job
        known: dict[str, Any] = {one: vector for one in contents if (vector := self._recent.get(one)) is not None}
        met = job.seen.met_hashes(contents)
        assert job.target is not None
        if again := [one for one in met if one not in known]:
            known |= job.target.vectors_by_hash(again)
        if job.version is not None:
            known |= job.target.vectors_by_hash([one for one in contents if one not in known], version=job.version)
        return known

    def _vectors(
        self, known: dict[str, Any], coming: dict[str, Input], started: Started[str]
    ) -> tuple[dict[str, Any], dict[str, EngineError]]:
        """By hash: what is known, what a group before this one was about to get, and what the model makes."""
        job = self._job
        with job.stages.time("encode"):
            made, failed = started.result()
            known |= {one: recent for one in coming if (recent := self._recent.get(one)) is not None}
            if late := {one: content for one, content in coming.items() if one not in known}:  # it failed there, too
                more, bad = embed(late, job.encoder, job.view)
                made, failed = made | more, failed | bad
        job.report.embedded += len(made)
        job.report.reused += len(known)
        for content_hash, vector in made.items():
            self._recent[content_hash] = vector.astype(np.float16)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._coming.difference_update(started.contents)
        return known | made, failed


class BegunGroup:
    """A group whose inputs are on their way through the encoder."""

    def __init__(
        self,
        done: list[Done],
        fresh: Sequence[Ready],
        vectors: Callable[[], tuple[Mapping[str, Any], Mapping[str, EngineError]]],
        started: Started[str] | None,
    ) -> None:
        """done: nothing to be embedded. fresh: the others. started: what the encoder does for them, if anything."""
        self._done, self._fresh, self._vectors, self._started = done, fresh, vectors, started

    @property
    def ending(self) -> bool:
        """Whether the encoder is at its last batch."""
        return self._started is None or self._started.ending

    def result(self) -> list[Done]:
        """The outcomes, in any order; waits for the encoder."""
        vectors, failed = self._vectors()
        return self._done + [_embedded(one.loaded, one.stored, vectors, failed) for one in self._fresh]


def _embedded(
    loaded: Loaded, stored: Mapping[str, Item], vectors: Mapping[str, Any], failed: Mapping[str, EngineError]
) -> Embedded | Refused:
    for piece in loaded.pieces:
        if reason := failed.get(piece.item.content_hash):
            return refuse(loaded.origin, "EncodingError", f"{name_of(None, loaded.origin)}: {reason}")
    before = "absent" if loaded.id not in stored else "touched" if same_content(loaded, stored) else "differing"
    items = tuple(
        replace(piece.item, vector=None if vector is None else np.asarray(vector, np.float32))
        for piece in loaded.pieces
        for vector in [vectors[piece.item.content_hash]]
    )
    return Embedded(origin=loaded.origin, items=items, before=before, stale=tuple(stale_passages(loaded, stored)))
