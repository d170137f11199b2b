"""What runs on the cluster: an actor per worker, with the model and processes that decode."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from oneword.engine.chunks import Splitter
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import tiler_of
from oneword.engine.models import load as load_model
from oneword.engine.views import View
from oneword.indexer.changes import Seen
from oneword.indexer.decode import Decoders
from oneword.indexer.embed import Embedding
from oneword.indexer.entry import Entry
from oneword.indexer.load import Contents, load
from oneword.indexer.options import JobConfig
from oneword.indexer.outcome import Loaded, Outcome
from oneword.indexer.pipeline import load_and_compare
from oneword.indexer.report import Report
from oneword.storage import Store

THREADS = 16
"""Least threads that read content; most of their time they wait."""

AHEAD = 16
"""Inputs of a share that are loaded ahead, with all of their pixels."""

GROUP_PIXELS = 66_000_000
"""Most decoded pixels that are embedded together (200 MB of RGB)."""


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Of the job, what a worker needs. Small and picklable.

    Args:
        db, collection: where the worker looks up vectors of equal content; None in a dry run that would make it.
        version: the collection's when the job began; None: it was empty.
        decoders: processes of one worker that decode.
    """

    db: str
    collection: str | None
    version: int | None
    encoder: EngineConfig
    view: View
    splitter: Splitter | None
    config: JobConfig
    decoders: int


@dataclass(kw_only=True)
class Done:
    """What a worker returns of a share.

    Args:
        outcomes: of each input.
        embedded, reused: counts of vectors that were computed and of reused ones.
        load, encode: seconds.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    embedded: int = 0
    reused: int = 0
    load: float = 0.0
    encode: float = 0.0


class Worker:
    """Holds the model. Takes two shares at a time: one is read and decoded while the other one is embedded."""

    def __init__(self, settings: WorkerSettings) -> None:
        config, encoder = settings.config, load_model(settings.encoder)
        self._splitter = settings.splitter
        self._contents = Contents(allow_private=config.allow_private)
        # In other processes: an image that crashes its decoder must not end this one.
        tiler = None if config.dry_run else tiler_of(encoder)
        self._decoders = Decoders(
            settings.decoders, max_pixels=config.max_pixels, tiler=tiler, ocr=config.ocr and not config.dry_run
        )
        self._threads = ThreadPoolExecutor(max(THREADS, 2 * settings.decoders), thread_name_prefix="load")
        collection = None if settings.collection is None else Store(settings.db).open(settings.collection)
        self._report = Report(model=encoder.name, collection="")
        self._seen = Seen()
        self._embedding = Embedding(
            encoder, settings.view, collection, settings.version, self._seen, self._report, dry_run=config.dry_run
        )
        self._model = threading.Lock()

    def close(self) -> None:
        """Closes connections and removes temporary files; no share may follow."""
        self._threads.shutdown()
        self._contents.close()
        self._seen.close()

    def work(self, share: Sequence[Entry]) -> Done:
        """The outcomes of a share, in its order."""
        done, group, pixels = Done(), list[Outcome](), 0
        for outcome, seconds in self._loaded(share):
            done.load += seconds
            group.append(outcome)
            pixels += outcome.pixels if isinstance(outcome, Loaded) else 0
            if pixels >= GROUP_PIXELS:
                self._embed(group, done)
                group, pixels = [], 0
        self._embed(group, done)
        return done

    def _embed(self, group: Sequence[Outcome], done: Done) -> None:
        with self._model:
            started = time.perf_counter()
            self._report.embedded = self._report.reused = 0
            done.outcomes += self._embedding.done(group)
            done.embedded += self._report.embedded
            done.reused += self._report.reused
            done.encode += time.perf_counter() - started

    def _loaded(self, share: Sequence[Entry]) -> Iterator[tuple[Outcome, float]]:
        """In order, while some are loaded ahead; each with the seconds it took."""
        waiting: deque[Future[tuple[Outcome, float]]] = deque()
        for entry in share:
            waiting.append(self._threads.submit(self._load, entry))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()

    def _load(self, entry: Entry) -> tuple[Outcome, float]:
        started = time.perf_counter()
        outcome = load_and_compare(entry, lambda one: load(one, self._contents, self._decoders, self._splitter))
        return outcome, time.perf_counter() - started
