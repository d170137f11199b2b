"""The stages that run on workers: classes that Ray Data makes once per process and calls with blocks."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from oneword.engine.models import load as load_model
from oneword.indexer.changes import Seen
from oneword.indexer.decode import Decoders
from oneword.indexer.distributed.messages import (
    Encoded,
    Group,
    InFragment,
    Places,
    Share,
    WorkerSettings,
    Written,
    from_block,
    to_block,
)
from oneword.indexer.embed import Embedding
from oneword.indexer.entry import Entry
from oneword.indexer.load import Contents, load
from oneword.indexer.outcome import Loaded, Outcome, refuse
from oneword.indexer.pipeline import load_and_compare
from oneword.indexer.report import Report, Stages
from oneword.indexer.write import may_be_there
from oneword.storage import FragmentTarget, write_fragments

THREADS = 16
"""Threads that read content in one loader; most of their time they wait."""

AHEAD = 8
"""Inputs of a share that are loaded ahead, with all of their pixels."""

GROUP_PIXELS = 25_000_000
"""Most decoded pixels in one block (75 MB of RGB), which travels from loader to embedder."""


class Loader:
    """Reads, decodes and splits."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._contents = Contents(allow_private=settings.config.allow_private)
        # In another process: an image that crashes it must not end this one.
        self._decoders = Decoders(1, max_pixels=settings.config.max_pixels)
        self._splitter = settings.splitter
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="load")

    def __call__(self, block: Any) -> Iterator[Any]:
        """Shares to groups, of bounded size."""
        for share in from_block(block):
            yield from (to_block([group]) for group in self._groups(share))

    def _groups(self, share: Share) -> Iterator[Group]:
        places, outcomes = list[int](), list[Outcome]()
        pixels, seconds = 0, 0.0
        for place, (outcome, took) in self._ahead(share):
            places.append(place)
            outcomes.append(outcome)
            seconds += took
            pixels += outcome.pixels if isinstance(outcome, Loaded) else 0
            if pixels >= GROUP_PIXELS:
                yield _group(share, places, outcomes, seconds)
                places, outcomes, pixels, seconds = [], [], 0, 0.0
        if places:
            yield _group(share, places, outcomes, seconds)

    def _ahead(self, share: Share) -> Iterator[tuple[int, tuple[Outcome, float]]]:
        """In order, while some are loaded ahead."""
        waiting: deque[tuple[int, Future[tuple[Outcome, float]]]] = deque()
        for place, one in share.inputs:
            waiting.append((place, self._threads.submit(self._load, one)))
            if len(waiting) >= AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        for place, future in waiting:
            yield place, future.result()

    def _load(self, entry: Entry) -> tuple[Outcome, float]:
        started = time.perf_counter()
        outcome = load_and_compare(entry, lambda one: load(one, self._contents, self._decoders, self._splitter))
        return outcome, time.perf_counter() - started


def _group(share: Share, places: list[int], outcomes: list[Outcome], seconds: float) -> Group:
    return Group(
        about=Places(share=share.number, places=tuple(places)), outcomes=tuple(outcomes), seconds={"load": seconds}
    )


class Embedder:
    """Holds the model."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._report = Report(model="", collection="")
        self._embedding = Embedding(
            load_model(settings.encoder),
            settings.view,
            settings.open(),
            settings.version,
            Seen(),
            self._report,
            dry_run=settings.config.dry_run,
        )

    def __call__(self, block: Any) -> Any:
        """Groups to encoded ones."""
        return to_block([self._encoded(group) for group in from_block(block)])

    def _encoded(self, group: Group) -> Encoded:
        report, stages = self._report, Stages()
        report.embedded = report.reused = 0
        with stages.time("encode"):
            done = self._embedding.done(group.outcomes)
        return Encoded(
            about=group.about,
            done=tuple(done),
            embedded=report.embedded,
            reused=report.reused,
            seconds={**stages.as_dict(), "load": group.seconds.get("load", 0.0)},
        )


class FragmentWriter:
    """Writes new items into fragments, which the committer only has to commit."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._dry_run = settings.config.dry_run
        self._collection = settings.open()
        self._target: FragmentTarget | None = None

    def __call__(self, block: Any) -> Any:
        """Many encoded groups to one message for the committer."""
        groups: list[Encoded] = from_block(block)
        return to_block([self._written(groups)] if groups else [])

    def _written(self, groups: list[Encoded]) -> Written:
        done = [one for group in groups for one in group.done]
        stages = Stages()
        with stages.time("write"):
            done = _counted(done) if self._dry_run else self._write(done)
        seconds = [stages.as_dict(), *(group.seconds for group in groups)]
        return Written(
            about=tuple(group.about for group in groups),
            done=tuple(done),
            embedded=sum(group.embedded for group in groups),
            reused=sum(group.reused for group in groups),
            seconds={stage: sum(one.get(stage, 0.0) for one in seconds) for stage in ("load", "encode", "write")},
        )

    def _write(self, done: list[Outcome]) -> list[Outcome]:
        new = [one for one in done if isinstance(one, Loaded) and not may_be_there(one)]
        target = self._target_for(new)
        known = set(target.schema.names)
        mine = [one for one in new if all(f"meta_{key}" in known for key in one.items[0].metadata)]
        bad = target.check(item for one in mine for item in one.items)
        good = [one for one in mine if not any(item.id in bad for item in one.items)]
        fragments = write_fragments(target, [item for one in good for item in one.items])
        inside, apart = {id(one) for one in good}, {id(one) for one in mine}
        result: list[Outcome] = []
        for one in done:
            if not isinstance(one, Loaded) or id(one) not in apart:
                result.append(one)
            elif id(one) in inside:
                result.append(_inside(one, fragments))
                fragments = []
            else:
                reason = next(bad[item.id] for item in one.items if item.id in bad)
                result.append(refuse(one.origin, "BadItem", f"{one.origin}: {reason}"))
        return result

    def _target_for(self, new: list[Loaded]) -> FragmentTarget:
        """The table as it was when this began; as it is now, if items have metadata that it lacked then."""
        assert self._collection is not None
        keys = {f"meta_{key}" for one in new for item in one.items for key in item.metadata}
        if self._target is None or not keys <= set(self._target.schema.names):
            self._target = self._collection.fragment_target()
        return self._target


def _counted(done: list[Outcome]) -> list[Outcome]:
    """Without content, which a dry run does not need."""
    return [_inside(one) if isinstance(one, Loaded) else one for one in done]


def _inside(one: Loaded, fragments: Sequence[str] = ()) -> InFragment:
    return InFragment(
        origin=one.origin, items=(), contents=(), before=one.before, written=len(one.items), fragments=tuple(fragments)
    )
