"""The vectors of a group of inputs: equal content is embedded once, also across groups and runs."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.embedding import embed
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

    def done(self, group: Sequence[Outcome]) -> list[Done]:
        """The outcomes of a group, with vectors; in a dry run, with none."""
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
            vectors, failed = dict.fromkeys(contents, None), dict[str, EngineError]()
        else:
            vectors, failed = self._vectors(contents)
        return done + [_embedded(one.loaded, one.stored, vectors, failed) for one in fresh]

    def _vectors(self, contents: Mapping[str, Input]) -> tuple[dict[str, Any], dict[str, EngineError]]:
        """By hash: from memory, from the table, from the model."""
        job = self._job
        known: dict[str, Any] = {one: self._recent[one] for one in contents if one in self._recent}
        met = job.seen.met_hashes(contents)
        assert job.target is not None
        if again := [one for one in met if one not in known]:
            known |= job.target.vectors_by_hash(again)
        if job.version is not None:
            known |= job.target.vectors_by_hash([one for one in contents if one not in known], version=job.version)
        with job.stages.time("encode"):
            todo = {one: content for one, content in contents.items() if one not in known}
            made, failed = embed(todo, job.encoder, job.view)
        job.report.embedded += len(made)
        job.report.reused += len(known)
        for content_hash, vector in made.items():
            self._recent[content_hash] = vector.astype(np.float16)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return known | made, failed


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
