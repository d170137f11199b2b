"""Shares of inputs: read from the sources, sent to the workers, and accounted for when they come back."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from oneword.indexer.distributed.messages import Places, Share
from oneword.indexer.entry import Entry, Reference
from oneword.indexer.job import Job
from oneword.indexer.outcome import Unchanged, refuse
from oneword.storage import Refused

AT_ONCE = 2048
"""Entries that are looked up in the collection together."""

WEIGHT = 256
"""Of a full share: an included text weighs 1, an input to be read or decoded 4."""

BYTES = 8 * 2**20
"""Most included content in a share."""

SECONDS = 5.0
"""Seconds after which a share is sent that is not full."""


class Feeder:
    """Reads the sources and sends shares, in a thread of its own, until `stopped` is set."""

    def __init__(
        self,
        job: Job,
        known: Callable[[Sequence[Unchanged | Refused]], None],
        send: Callable[[Share], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """known: takes outcomes that need no worker. send: takes shares, and may block. ended: called at the end."""
        self._job, self._known, self._send, self._ended = job, known, send, ended
        self._triage = job.triage()
        self._unread: list[Entry] = []
        self._weight = self._bytes = self._number = 0
        self._since = 0.0
        self.stopped = threading.Event()

    def start(self) -> None:
        """Begins to read."""
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            entries = self._job.inputs.entries()
            while not self.stopped.is_set():
                with self._job.stages.time("read"):
                    some = list(islice(entries, AT_ONCE))
                    outcomes = self._triage.sort(some)
                if not some:
                    break
                self._take(outcomes)
            self._flush()
        except BaseException as raised:
            error = raised
        self._ended(error)

    def _take(self, outcomes: Sequence[Unchanged | Refused | Entry]) -> None:
        known: list[Unchanged | Refused] = []
        for one in outcomes:
            if not isinstance(one, Entry):
                known.append(one)
            elif one.problem:
                known.append(refuse(one.origin, one.problem.kind, one.problem.reason))
            else:
                self._unread.append(one)
                self._weight += _weight(one)
                self._bytes += _bytes(one)
                self._since = self._since or time.monotonic()
                if self._weight >= WEIGHT or self._bytes >= BYTES:
                    self._flush()
        if known:
            self._known(known)
        if self._unread and time.monotonic() - self._since >= SECONDS:
            self._flush()

    def _flush(self) -> None:
        if self._unread and not self.stopped.is_set():
            self._send(Share(number=self._number, inputs=tuple(enumerate(self._unread))))
            self._number += 1
        self._unread, self._weight, self._bytes, self._since = [], 0, 0, 0.0


def _weight(entry: Entry) -> int:
    return 4 if entry.image is not None or isinstance(entry.text, Reference) else 1


def _bytes(entry: Entry) -> int:
    return sum(len(part) for part in (entry.image, entry.text) if isinstance(part, bytes | str))


@dataclass(kw_only=True)
class _Sent:
    block: Any
    left: set[int]
    place: int


class Ledger:
    """Shares that were sent and whose inputs have not all come back. Safe from several threads."""

    def __init__(self, most: int) -> None:
        """most: shares that may be on their way at once; the sender waits for room."""
        self._sent: dict[int, _Sent] = {}
        self._room = threading.Condition()
        self._most = most

    def __len__(self) -> int:
        return len(self._sent)

    def wait_for_room(self, timeout: float) -> bool:
        """Waits until one more may be sent. Returns whether it may."""
        with self._room:
            return self._room.wait_for(lambda: len(self._sent) < self._most, timeout)

    def send(self, share: int, block: Any, inputs: int, place: int) -> None:
        """block: a reference; inputs: how many; place: in the feed."""
        with self._room:
            self._sent[share] = _Sent(block=block, left=set(range(inputs)), place=place)

    def moved(self, share: int, place: int) -> None:
        """Notes a share's place in another feed."""
        self._sent[share].place = place

    def account(self, about: tuple[Places, ...]) -> list[int] | None:
        """Accounts for inputs that came back. Returns the places in the feed of shares that are done by that.

        None, and nothing is accounted for, if some of them were not on their way.
        """
        done: list[int] = []
        with self._room:
            for one in about:
                sent = self._sent.get(one.share)
                if sent is None or not sent.left.issuperset(one.places):
                    return None
            for one in about:
                sent = self._sent[one.share]
                sent.left.difference_update(one.places)
                if not sent.left:
                    done.append(sent.place)
                    del self._sent[one.share]
            self._room.notify_all()
        return done

    def left(self) -> dict[int, tuple[Any, set[int]]]:
        """Of each share on its way the block, and the inputs that have not come back."""
        with self._room:
            return {share: (sent.block, set(sent.left)) for share, sent in self._sent.items()}
