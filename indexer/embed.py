"""Computes the vectors of inputs: equal content is embedded once, also across groups and runs."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from queue import Queue
from threading import Event, Semaphore, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.encoder import Encoder
from oneword.engine.encoding import Started, embed
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Input
from oneword.engine.views import View
from oneword.indexer.changes import Seen
from oneword.indexer.entry import name_of
from oneword.indexer.outcome import Loaded, Outcome, refuse
from oneword.indexer.report import Report
from oneword.indexer.stages import Stages
from oneword.indexer.write import ROWS
from oneword.storage import Collection, Refused

REMEMBERED = 3 * ROWS
"""Vectors kept in memory, in half precision as the store keeps them: more than ever wait to be written."""

ENOUGH = 1 / 8
"""Share of a full group that an encoder with little left to do is given."""

IDLE = 0.1
"""Seconds without work after which a group of any size is enough."""


class Embedding:
    """Gives loaded inputs their vectors.

    Args:
        target: the collection, where equal content may be; None in a dry run.
        version: that the collection had when the job began; None: it was empty.
        report: counts vectors that were computed and that were reused.
    """

    def __init__(
        self,
        encoder: Encoder,
        view: View,
        target: Collection | None,
        version: int | None,
        seen: Seen,
        report: Report,
        *,
        dry_run: bool = False,
    ) -> None:
        self._encoder, self._view, self._target, self._version = encoder, view, target, version
        self._seen, self._report, self._dry_run = seen, report, dry_run
        self._recent: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._coming = set[str]()

    def done(self, group: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of a group, with vectors; in a dry run, without."""
        return self.begin(group).result()

    def begin(self, group: Sequence[Outcome]) -> "BegunGroup":
        """Looks up vectors that are known, and lets the encoder prepare the other inputs.

        One thread begins groups and one finishes them, in the same order.
        """
        fresh = [one for one in group if isinstance(one, Loaded)]
        contents = {
            item.content_hash: content for one in fresh for item, content in zip(one.items, one.contents, strict=True)
        }
        if self._dry_run:
            return BegunGroup(group, lambda: (dict.fromkeys(contents, None), {}), None)
        # Before what is in memory: vectors that are being computed may be there in a moment.
        coming = {one: content for one, content in contents.items() if one in self._coming}
        rest = {one: content for one, content in contents.items() if one not in coming}
        known = self._known(rest)
        started = Started(
            {one: content for one, content in rest.items() if one not in known}, self._encoder, self._view
        )
        self._coming.update(started.contents)
        return BegunGroup(group, lambda: self._vectors(known, coming, started), started)

    def _known(self, contents: Iterable[str]) -> dict[str, Any]:
        """By hash: from memory and from the table."""
        known: dict[str, Any] = {one: vector for one in contents if (vector := self._recent.get(one)) is not None}
        met = self._seen.met_hashes(contents)
        assert self._target is not None
        if again := [one for one in met if one not in known]:
            known |= self._target.vectors_by_hash(again)
        if self._version is not None:
            known |= self._target.vectors_by_hash([one for one in contents if one not in known], version=self._version)
        return known

    def _vectors(
        self, known: dict[str, Any], coming: dict[str, Input], started: Started[str]
    ) -> tuple[dict[str, Any], dict[str, EngineError]]:
        """By hash: known vectors, those that a group before this one computed, and those that the model computes."""
        made, failed = started.result()
        known |= {one: recent for one in coming if (recent := self._recent.get(one)) is not None}
        if late := {one: content for one, content in coming.items() if one not in known}:  # it failed there, too
            more, bad = embed(late, self._encoder, self._view)
            made, failed = made | more, failed | bad
        self._report.embedded += len(made)
        self._report.reused += len(known)
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
        group: Sequence[Outcome],
        vectors: Callable[[], tuple[Mapping[str, Any], Mapping[str, EngineError]]],
        started: Started[str] | None,
    ) -> None:
        """started: what the encoder does for the group, if anything."""
        self._group, self._vectors, self._started = group, vectors, started

    @property
    def ending(self) -> bool:
        """Whether the encoder is at its last batch."""
        return self._started is None or self._started.ending

    def result(self) -> list[Outcome]:
        """The outcomes, with vectors; waits for the encoder."""
        vectors, failed = self._vectors()
        return [_embedded(one, vectors, failed) if isinstance(one, Loaded) else one for one in self._group]


def _embedded(loaded: Loaded, vectors: Mapping[str, Any], failed: Mapping[str, EngineError]) -> Loaded | Refused:
    for item in loaded.items:
        if reason := failed.get(item.content_hash):
            return refuse(loaded.origin, "EncodingError", f"{name_of(None, loaded.origin)}: {reason}")
    items = tuple(
        replace(item, vector=None if vector is None else np.asarray(vector, np.float32))
        for item in loaded.items
        for vector in [vectors[item.content_hash]]
    )
    return replace(loaded, items=items, contents=())


class EmbeddingThread:
    """Finishes groups in a thread of its own, in which one group is encoded while the next one is begun.

    Used by one thread, which may gather a third group meanwhile.
    """

    def __init__(self, embedding: Embedding, put: Callable[[Sequence[Outcome]], None], stages: Stages) -> None:
        """put: takes the outcomes of each group; called in this thread."""
        self._embedding, self._put, self._stages = embedding, put, stages
        self._room = Semaphore(2)
        self._begun: Queue[BegunGroup | None] = Queue()
        self._running: BegunGroup | None = None
        self._idle_since = time.perf_counter()
        stages.enter("wait")
        self._error: BaseException | None = None
        self._dropped = Event()
        self._thread = Thread(target=self._work, name="encode", daemon=True)
        self._thread.start()

    @property
    def least(self) -> float:
        """Share of a full group that is wanted now: 0 for any group, 1 for a full one."""
        waiting = self._begun.unfinished_tasks
        if not waiting:
            return ENOUGH if time.perf_counter() - self._idle_since < IDLE else 0
        running = self._running
        return ENOUGH if waiting == 1 and running is not None and running.ending else 1

    def put(self, group: Sequence[Outcome]) -> None:
        """Begins a group. Waits while one is encoded and another one is begun; raises what an earlier one raised."""
        self._room.acquire()
        self.check()
        self._begun.put(self._embedding.begin(group))

    def check(self) -> None:
        """Raises what an earlier group raised."""
        if self._error is not None:
            raise self._error

    def close(self, *, finish: bool) -> None:
        """Waits for the groups that were begun; without `finish`, only for the one that is being encoded."""
        if not finish:
            self._dropped.set()
        self._begun.put(None)
        self._thread.join()
        if finish:
            self.check()

    def _work(self) -> None:
        while (begun := self._begun.get()) is not None:
            self._running = begun
            try:
                if self._error is None and not self._dropped.is_set():
                    self._stages.enter("encode")
                    encoded = begun.result()
                    self._stages.enter("hand over")
                    self._put(encoded)
            except BaseException as error:
                self._error = error
            self._running = None
            self._idle_since = time.perf_counter()
            self._stages.enter("wait")
            self._begun.task_done()
            self._room.release()
