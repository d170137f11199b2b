"""The front of a job: reads entries, leaves out what is unchanged, and has the rest loaded ahead of the encoder."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from queue import Empty, Full, Queue

from oneword.engine.passages import Splitter
from oneword.indexer.entry import Entry, Reference
from oneword.indexer.loading import Loaded
from oneword.indexer.seen import Seen
from oneword.indexer.stages import Stages
from oneword.indexer.triage import Lookup as Lookup
from oneword.indexer.triage import Triage, Unread
from oneword.indexer.triage import Unchanged as Unchanged
from oneword.storage import Item, Refused

AT_ONCE = 512
"""Entries that are looked up in the collection together."""

AHEAD = 32
"""Pictures and files that are loaded before they are gathered, with all of their pixels; what is known without loading
counts by the run of neighbours."""

ENOUGH = 1 / 8
"""Of a full group: so much is given to an encoder that has little left to do."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """An input that was loaded, and what is stored of it, by id."""

    loaded: Loaded
    stored: dict[str, Item]


Outcome = Unchanged | Ready | Refused


class ReadingAhead:
    """Iterates over the outcomes of all entries, in their order, while threads work ahead.

    Args:
        entries: the inputs.
        lookup: what the collection held when the job began, by id.
        load: reads and decodes an entry; called in threads.
        threads: that load at once.
        reread, take_over: see `Triage`.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        lookup: Lookup,
        load: Callable[[Entry], Loaded | Refused],
        splitter: Splitter | None,
        seen: Seen,
        stages: Stages,
        *,
        threads: int,
        reread: bool = False,
        take_over: bool = False,
    ) -> None:
        self._entries, self._load, self._stages = entries, load, stages
        self._triage = Triage(lookup, splitter, seen, reread=reread, take_over=take_over)
        self._queue: Queue[Sequence[Outcome | Future[Outcome]] | BaseException | None] = Queue(AHEAD)
        self._stopped = threading.Event()
        self._hungry = threading.Event()
        self._gathered: Queue[list[Outcome] | BaseException | None] = Queue(1)
        self._loaders = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._reader = threading.Thread(target=self._read, name="read", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Read no further; what was read ahead is dropped."""
        self._stopped.set()
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def groups(
        self, most: int, most_pixels: int, patience: float = 0.5, *, least: Callable[[], float] = lambda: ENOUGH
    ) -> Iterator[list[Outcome]]:
        """Outcomes in groups for the encoder. While it has one, a thread gathers the next.

        A group is full, or has the least share that the encoder wants, or, where it wants less than a full one, is what
        is there once nothing has come for `patience` seconds; an empty one says that nothing is.

        Args:
            least: what share of a full group the encoder wants now.

        Raises:
            What reading the source raised, after everything before it.
        """
        gather = threading.Thread(
            target=self._gather, args=(most, most_pixels, patience, least), name="gather", daemon=True
        )
        gather.start()
        while True:
            self._hungry.set()
            try:
                group = self._gathered.get(timeout=patience)
            except Empty:
                group = []
            if group is None:
                return
            if isinstance(group, BaseException):
                raise group
            yield group

    def _gather(self, most: int, most_pixels: int, patience: float, least: Callable[[], float]) -> None:
        """The gathering thread."""
        group: list[Outcome] = []
        weight = pixels = 0
        ended: BaseException | None = None
        try:
            for one in self._outcomes(patience):
                if one is not None:
                    group.append(one)
                    weight += len(one.loaded.pieces) if isinstance(one, Ready) else 0
                    pixels += one.loaded.pixels if isinstance(one, Ready) else 0
                share = max(weight / most, pixels / most_pixels, len(group) / (4 * most))
                wanted = least() if self._hungry.is_set() else 1
                if share >= 1 or (wanted < 1 and group and (share >= wanted or one is None)):
                    self._hand(group)
                    group, weight, pixels = [], 0, 0
            if group:
                self._hand(group)
        except BaseException as error:
            ended = error
        self._hand(ended)

    def _hand(self, group: list[Outcome] | BaseException | None) -> None:
        """Waits until the encoder wants it."""
        while not self._stopped.is_set():
            if self._hungry.wait(0.2):
                self._hungry.clear()
                self._gathered.put(group)
                return

    def _outcomes(self, patience: float) -> Iterator[Outcome | None]:
        """Outcomes in order; None whenever the next one lets wait for itself."""
        while not self._stopped.is_set():
            try:
                some = self._queue.get(timeout=patience)
            except Empty:
                some = []
            if some is None:
                return
            if isinstance(some, BaseException):
                raise some
            if not some:
                yield None
            for one in some:
                if isinstance(one, Future):
                    while not wait([one], patience).done:
                        yield None
                    yield one.result()
                else:
                    yield one

    def _read(self) -> None:
        """The reading thread."""
        ended: BaseException | None = None
        try:
            entries = iter(self._entries)
            while not self._stopped.is_set():
                with self._stages.time("read"):
                    some = list(islice(entries, AT_ONCE))
                    outcomes = self._begun(some)
                if not some:
                    break
                for slot in outcomes:
                    # Begun here, so that no more is in memory than there is room for in the queue.
                    self._put(slot if isinstance(slot, list) else [self._loaders.submit(self._ready, slot)])
        except BaseException as error:
            ended = error
        self._put(ended)

    def _begun(self, entries: list[Entry]) -> list[list[Outcome] | Unread]:
        """Outcomes that are known, together; and by itself each input to be loaded."""
        known: list[Outcome] = []
        slots: list[list[Outcome] | Unread] = [known]
        for one in self._triage.sort(entries):
            if not isinstance(one, Unread):
                known.append(one)
            elif one.entry.problem or (one.entry.image is None and not isinstance(one.entry.text, Reference)):
                known.append(self._ready(one))
            else:
                known = []
                slots += [one, known]
        return [slot for slot in slots if slot]

    def _ready(self, unread: Unread) -> Outcome:
        with self._stages.time("load"):
            loaded = self._load(unread.entry)
        return loaded if isinstance(loaded, Refused) else Ready(loaded=loaded, stored=unread.stored)

    def _put(self, slot: Sequence[Outcome | Future[Outcome]] | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(slot, timeout=0.2)
                return
            except Full:
                continue
