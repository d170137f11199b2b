"""Runs a job on this machine.

    read ──> load ──> gather ──> embed ──> write
    (thread) (threads (the job's (thread) (thread)
             and      own thread)
             processes)

The reading thread triages inputs; threads read the contents of those that may have changed, and processes decode their
images; the thread that called gathers groups for the encoder; the writer commits many groups at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from queue import Empty, Full, Queue

from oneword.engine.availability import choose
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder, tiler_of
from oneword.engine.models import load as load_model
from oneword.engine.views import View
from oneword.indexer.changes import compare
from oneword.indexer.decode import TIMEOUT, Decoders
from oneword.indexer.embed import Embedding, EmbeddingThread
from oneword.indexer.entry import Entry, Reference
from oneword.indexer.job import Job
from oneword.indexer.load import Contents, load
from oneword.indexer.options import JobConfig
from oneword.indexer.outcome import Loaded, Outcome
from oneword.indexer.write import ROWS, Writer
from oneword.storage import Refused

log = logging.getLogger(__name__)

AT_ONCE = 512
"""Entries that are looked up in the collection together."""

THREADS = 16
"""Least that read content and wait for its decoding; most of their time they wait."""

WAIT = 0.5
"""Seconds without a new input after which the encoder gets what was gathered, and progress is reported."""


@dataclass(frozen=True, kw_only=True)
class Local:
    """Runs jobs on this machine.

    Args:
        group: most texts or images that the encoder is given together: it makes its own batches of them.
        group_pixels: most pixels among them (200 MB of RGB), so that large photos do not fill the memory. Of three
            groups one is being gathered, one is begun, and one is encoded.
        ahead: images and files that are loaded before they are gathered, with all of their pixels.
        commit_rows: rows in one commit, see `oneword.indexer.write.ROWS`.
        decoding_timeout: seconds that decoding one image may take.
    """

    group: int = 512
    group_pixels: int = 66_000_000
    ahead: int = 32
    commit_rows: int = ROWS
    decoding_timeout: float = TIMEOUT

    def check(self, config: JobConfig) -> None:
        """Every job can run here."""

    def encoder(self, config: EngineConfig, view: View) -> Encoder:  # noqa: ARG002 - other runners need the view
        """Loads the model; of "auto" the best that can run here."""
        if config.model == "auto":
            model, reason = choose()
            log.info("model %s, because %s", model, reason)
            config = config.for_space(model)
        return load_model(config)

    def run(self, job: Job) -> None:
        """Every entry of the job, until the end or until it is asked to stop."""
        config = job.config
        tiler = None if config.dry_run else tiler_of(job.encoder)
        decoders = Decoders(
            config.decoders,
            max_pixels=config.max_pixels,
            timeout=self.decoding_timeout,
            tiler=tiler,
            roots=job.inputs.roots,
        )
        finished = False
        with ExitStack() as ending:
            contents = Contents(allow_private=config.allow_private, roots=job.inputs.roots)
            ending.callback(contents.close)
            writer = Writer(job, commit_rows=self.commit_rows)
            ending.callback(writer.close)
            ending.callback(job.stages.enter, "commit")
            embedding = EmbeddingThread(
                Embedding(job.encoder, job.view, job.target, job.version, job.seen, job.report, dry_run=config.dry_run),
                writer.put,
                job.stages,
            )
            ending.callback(lambda: embedding.close(finish=finished))
            read, decode = job.stages.timed("read", contents), job.stages.timed("decode", decoders)
            reader = Reader(
                job,
                lambda entry: load(entry, read, decode, job.splitter),
                threads=max(THREADS, 2 * decoders.count),
                ahead=self.ahead,
            )
            ending.callback(reader.stop)
            for group in self._groups(job, reader, embedding):
                embedding.put(group)
            finished = True
        job.tell()

    def _groups(self, job: Job, reader: "Reader", embedding: EmbeddingThread) -> Iterator[list[Outcome]]:
        """Outcomes in groups for the encoder: full ones, or as large as it wants while it has little to do."""
        group: list[Outcome] = []
        contents = pixels = 0
        reported = time.monotonic()
        for some in reader.outcomes():
            embedding.check()
            group += some
            contents += sum(len(one.contents) for one in some if isinstance(one, Loaded))
            pixels += sum(one.pixels for one in some if isinstance(one, Loaded))
            if not some or time.monotonic() - reported >= WAIT:
                job.tell()
                reported = time.monotonic()
            if job.stop.is_set():
                return
            share = max(contents / self.group, pixels / self.group_pixels, len(group) / (4 * self.group))
            least = embedding.least
            if share >= 1 or (least < 1 and group and (share >= least or not some)):
                yield group
                group, contents, pixels = [], 0, 0
        if group:
            yield group


class Reader:
    """Reads entries, leaves out what is unchanged, and loads the rest ahead, in threads.

    Args:
        load: reads and decodes an entry.
        threads: that load.
        ahead: entries that are loaded before they are asked for; runs of neighbors that need no loading count as one.
    """

    def __init__(self, job: Job, load: Callable[[Entry], Loaded | Refused], *, threads: int, ahead: int) -> None:
        self._inputs, self._triage, self._load, self._stages = job.inputs, job.triage(), load, job.stages
        self._queue: Queue[Sequence[Outcome] | Future[Outcome] | BaseException | None] = Queue(ahead)
        self._stopped = threading.Event()
        self._loaders = ThreadPoolExecutor(threads, thread_name_prefix="load")
        threading.Thread(target=self._read, name="read", daemon=True).start()

    def stop(self) -> None:
        """Read no further; what was read ahead is dropped."""
        self._stopped.set()
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def outcomes(self) -> Iterator[Sequence[Outcome]]:
        """Outcomes in their order: one, or neighbors that are not loaded; none after every `WAIT` seconds without any.

        Raises:
            What reading the source raised, after everything before it.
        """
        while not self._stopped.is_set():
            try:
                some = self._queue.get(timeout=WAIT)
            except Empty:
                yield ()
                continue
            if some is None:
                return
            if isinstance(some, BaseException):
                raise some
            if isinstance(some, Future):
                while not wait([some], WAIT).done:
                    yield ()
                some = [some.result()]
            if any(isinstance(one, Loaded) for one in some):
                yield from ([one] for one in some)
            else:
                yield some

    def _read(self) -> None:
        """The reading thread."""
        ended: BaseException | None = None
        try:
            entries = self._inputs.entries()
            while not self._stopped.is_set():
                with self._stages.beside("list"):
                    some = list(islice(entries, AT_ONCE))
                with self._stages.beside("compare"):
                    slots = self._slots(some)
                if not some:
                    break
                for slot in slots:
                    # Loading begins here, so that no more is in memory than there is room for in the queue.
                    self._put(self._loaders.submit(self._loaded, slot) if isinstance(slot, Entry) else slot)
        except BaseException as error:
            ended = error
        self._put(ended)

    def _slots(self, entries: list[Entry]) -> list[list[Outcome] | Entry]:
        """Lists of outcomes that are known; and by itself each entry that must be loaded."""
        known: list[Outcome] = []
        slots: list[list[Outcome] | Entry] = [known]
        for one in self._triage.sort(entries):
            if not isinstance(one, Entry):
                known.append(one)
            elif one.problem or (one.image is None and not isinstance(one.text, Reference)):
                known.append(self._loaded(one))
            else:
                known = []
                slots += [one, known]
        return [slot for slot in slots if slot]

    def _loaded(self, entry: Entry) -> Outcome:
        with self._stages.beside("load"):
            return load_and_compare(entry, self._load)

    def _put(self, slot: Sequence[Outcome] | Future[Outcome] | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(slot, timeout=0.2)
                return
            except Full:
                continue


def load_and_compare(entry: Entry, load: Callable[[Entry], Loaded | Refused]) -> Outcome:
    """What an entry has become: refused, unchanged after all, or loaded."""
    loaded = load(entry)
    return loaded if isinstance(loaded, Refused) else compare(loaded, entry.stored)
